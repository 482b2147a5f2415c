"""The endpoints /healthz and /readyz."""

from django.http import HttpRequest, JsonResponse

from dashboard import readiness

PROBLEM_FIELDS = ("part", "fault", "wrong", "where", "what_to_do")


def alive(request: HttpRequest) -> JsonResponse:
    """Answer 200 while the process is able to answer."""
    return JsonResponse({"status": "ok"})


def ready(request: HttpRequest) -> JsonResponse:
    """Answer 200 if this process is ready, else 503 with each problem, its place and its remedy.

    Problems of other processes are warnings, because chargers are served without a worker, too. The endpoint needs no
    login, so it names variables and programs, never hosts.
    """
    found = readiness.latest_check.problems()
    problems = [problem for problem in found if not problem.is_warning]
    warnings = [_fields(problem) for problem in found if problem.is_warning]
    if not problems:
        return JsonResponse({"status": "ok", "warnings": warnings})
    faults = {problem.part: problem.fault for problem in problems}
    error = "Not ready: " + ", ".join(sorted(faults))
    body = {"error": error, "faults": faults, "problems": [_fields(problem) for problem in problems]}
    return JsonResponse(body | {"warnings": warnings}, status=503)


def _fields(problem: readiness.Problem) -> dict[str, str]:
    return {name: getattr(problem, name) for name in PROBLEM_FIELDS}
