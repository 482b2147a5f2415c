"""The page of reports, and the same selection as a file."""

from datetime import date

from django.core.paginator import Paginator
from django.http import Http404, HttpResponse
from django.utils.formats import date_format

from chargers.services import access
from dashboard import report_files, report_tables
from dashboard.report_tables import GROUPS, GROUPS_OF, PERMISSIONS, TITLES, Choice
from dashboard.views.base import Page, without_empty
from transactions.services.reports import DAY, MONTH, Part

ROWS_OF_PAGE = 100
MAX_BARS = 20  # of groups that are no days or months
MAX_DAYS = 366  # of a period
CHART_HEIGHT, BAR_WIDTH = 100, 10


class Reports(Page):
    template_name = "dashboard/reports.html"

    def get_permission_required(self):
        return (PERMISSIONS[self.choice().report],)

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
        choice, user = self.choice(), self.request.user
        table, page = self._paged(choice)
        sites = access.sites(user).order_by("name")
        periods = report_tables.periods()
        chosen = without_empty(self.request.GET)
        chosen.pop("page", None)
        return super().get_context_data(**kwargs) | {
            "choice": choice,
            "table": table,
            "page": page,
            "charted": _bars(table, choice),
            "groups": {group: GROUPS[group] for group in GROUPS_OF[choice.report]},
            "titles": {name: title for name, title in TITLES.items() if user.has_perm(PERMISSIONS[name])},
            "chart_height": CHART_HEIGHT,
            "sites": [(str(pk), name) for pk, name in sites.values_list("pk", "name")],
            "periods": [(period, _named(period)) for period in dict.fromkeys([choice.period, *periods])],
            "former": (former := report_tables.before(choice.period), _named(former)),
            "query": chosen.urlencode(),
            "kinds": report_files.TYPES,
        }

    def _paged(self, choice):
        """Return the table with the rows of the page that `?page=` names, and this page; the last for a greater."""
        text = self.request.GET.get("page", "1")
        number = max(1, int(text)) if text.isdecimal() and len(text) < 10 else 1
        largest = MAX_DAYS if choice.group_by in (DAY, MONTH) else MAX_BARS
        while True:
            part = Part((number - 1) * ROWS_OF_PAGE, ROWS_OF_PAGE, largest)
            table = report_tables.table_of(self.request.user, choice, part)
            page = Paginator(range(table.count), ROWS_OF_PAGE).get_page(number)
            if page.number >= number:
                return table, page
            number = page.number


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
    if table.charted is None or not table.largest:
        return []
    rows = sorted(table.largest, key=lambda row: row[0]) if choice.group_by in (DAY, MONTH) else table.largest
    column = table.columns[table.charted]
    whole = 100 if column.kind == report_tables.PERCENT else max(row[table.charted] or 0 for row in rows) or 1
    bars = []
    for number, row in enumerate(rows):
        value = row[table.charted]
        height = CHART_HEIGHT * (value or 0) / whole
        texts = report_tables.shown(report_tables.TEXT, row[0]), report_tables.shown(column.kind, value)
        bars.append((*texts, f"{number * BAR_WIDTH + 1}", f"{CHART_HEIGHT - height:.2f}", f"{height:.2f}"))
    return {"bars": bars, "width": f"{len(bars) * BAR_WIDTH}", "label": column.label}
