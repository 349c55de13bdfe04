from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "webapp.accounts"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from allauth.account.signals import email_confirmed
        from django.contrib.auth.signals import user_logged_in

        from webapp.accounts import audit, sharing
        from webapp.accounts.guests import adopt

        audit.connect()
        user_logged_in.connect(adopt, dispatch_uid="data of a guest")
        user_logged_in.connect(sharing.claim, dispatch_uid="what is shared with the user")
        email_confirmed.connect(sharing.claim, dispatch_uid="what is shared with an address")
