from django.apps import AppConfig


class DashboardConfig(AppConfig):
    name = "dashboard"
    label = "dashboard"

    def ready(self):
        from django.contrib.auth.signals import user_logged_out

        from dashboard.live import tell_of_logout

        user_logged_out.connect(tell_of_logout)
