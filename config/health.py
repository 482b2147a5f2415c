"""Is it alive, is it ready; and if not: what is wrong, where, and what to do."""

from django.http import HttpRequest, JsonResponse

from config import readiness

TOLD = ("part", "fault", "wrong", "where", "what_to_do")


def alive(request: HttpRequest) -> JsonResponse:
    """200 while the process answers at all."""
    return JsonResponse({"status": "ok"})


def ready(request: HttpRequest) -> JsonResponse:
    """200 when this process can do its work, else 503 that tells what is wrong, where, and what to do.

    What others should do and don't is a warning: without a worker chargers are served all the same. It is open to
    everyone, so it names variables and programs, never hosts.
    """
    found = readiness.newest.told()
    problems = [problem for problem in found if not problem.is_warning]
    warnings = [_told(problem) for problem in found if problem.is_warning]
    if not problems:
        return JsonResponse({"status": "ok", "warnings": warnings})
    faults = {problem.part: problem.fault for problem in problems}
    told = {"error": "Not ready: " + ", ".join(sorted(faults)), "faults": faults}
    return JsonResponse(
        told | {"problems": [_told(problem) for problem in problems], "warnings": warnings}, status=503
    )


def _told(problem):
    return {name: getattr(problem, name) for name in TOLD}
