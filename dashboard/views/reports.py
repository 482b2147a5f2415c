"""The page of reports, and the same selection as a file."""

from datetime import date

from django.http import Http404, HttpResponse
from django.utils.formats import date_format

from chargers.services import access
from dashboard import report_files, report_tables
from dashboard.report_tables import GROUPS, GROUPS_OF, TITLES, Choice
from dashboard.views.base import Page, without_empty

MAX_ROWS = 500  # on the page; files have all
MAX_BARS = 20  # of groups that are no days or months
CHART_HEIGHT, BAR_WIDTH = 100, 10


class Reports(Page):
    permission_required = "transactions.view_transaction"
    template_name = "dashboard/reports.html"

    def choice(self):
        """Return the `Choice` of the query; what is not valid is replaced by the default."""
        query = without_empty(self.request.GET)
        report, group_by = query.get("report", ""), query.get("group_by", "")
        report = report if report in TITLES else Choice.report
        return Choice(
            report=report,
            group_by=group_by if group_by in GROUPS_OF[report] else Choice.group_by,
            period=report_tables.period_of(query.get("period", "")),
            site=query.get("site", "")[:100],
        )

    def get_context_data(self, **kwargs):
        choice = self.choice()
        table = report_tables.table_of(self.request.user, choice)
        sites = access.sites(self.request.user).order_by("name")
        periods = report_tables.periods()
        return super().get_context_data(**kwargs) | {
            "choice": choice,
            "table": table,
            "rows": table.rows[:MAX_ROWS],
            "more_rows": max(0, len(table.rows) - MAX_ROWS),
            "charted": _bars(table, choice),
            "groups": {group: GROUPS[group] for group in GROUPS_OF[choice.report]},
            "titles": TITLES,
            "chart_height": CHART_HEIGHT,
            "sites": [(str(pk), name) for pk, name in sites.values_list("pk", "name")],
            "periods": [(period, _named(period)) for period in dict.fromkeys([choice.period, *periods])],
            "former": (former := report_tables.before(choice.period), _named(former)),
            "asked": without_empty(self.request.GET).urlencode(),
            "kinds": report_files.TYPES,
        }


class ReportFile(Reports):
    """The report as a file of `kind`."""

    def get(self, request, kind):
        if kind not in report_files.TYPES:
            raise Http404
        choice = self.choice()
        content = report_files.made(kind, report_tables.table_of(request.user, choice))
        headers = {"Content-Disposition": f'attachment; filename="{report_tables.file_name(choice, kind)}"'}
        return HttpResponse(content, content_type=report_files.TYPES[kind], headers=headers)


def _named(period):
    """Return the name of a month or a year in the language of the page."""
    year, _, month = period.partition("-")
    return date_format(date(int(year), int(month), 1), "YEAR_MONTH_FORMAT") if month else year


def _bars(table, choice):
    """Return the bars of the charted column: (name, value as text, x, y, height) in units of the chart."""
    if table.charted is None or not table.rows:
        return []
    rows = table.rows if choice.group_by in ("day", "month") else _largest(table)
    most = max((row[table.charted] or 0 for row in rows), default=0) or 1
    bars = []
    for number, row in enumerate(rows):
        height = CHART_HEIGHT * (row[table.charted] or 0) / most
        texts = report_tables.shown(report_tables.TEXT, row[0]), _shown(table, row)
        bars.append((*texts, f"{number * BAR_WIDTH + 1}", f"{CHART_HEIGHT - height:.2f}", f"{height:.2f}"))
    return {"bars": bars, "width": f"{len(bars) * BAR_WIDTH}", "label": table.columns[table.charted].label}


def _largest(table):
    return sorted(table.rows, key=lambda row: -(row[table.charted] or 0))[:MAX_BARS]


def _shown(table, row):
    return report_tables.shown(table.columns[table.charted].kind, row[table.charted])
