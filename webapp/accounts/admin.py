"""Users and their quotas, for administrators."""

from __future__ import annotations

from allauth.account.decorators import secure_admin_login
from django.contrib import admin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.forms import UserCreationForm
from django.http import HttpRequest

from webapp.accounts.models import AuditEntry, User

admin.site.site_header = admin.site.site_title = "AutoDL Self-Service administration"
admin.site.login = secure_admin_login(admin.site.login)  # type: ignore[method-assign] # one log-in page, rate-limited


class NewUserForm(UserCreationForm):
    class Meta:
        model = User
        fields = ("email",)


@admin.register(User)
class UserAdmin(DjangoUserAdmin):
    add_form = NewUserForm
    ordering = ("email",)
    list_display = ("email", "date_joined", "last_login", "runs_per_day", "runs_total", "is_active", "is_staff")
    list_editable = ("runs_per_day", "runs_total")
    list_filter = ("is_staff", "is_active", "guest")
    search_fields = ("email",)
    readonly_fields = ("date_joined", "last_login")
    fieldsets = (
        (None, {"fields": ("email", "password")}),
        ("Quotas", {"fields": ("runs_per_day", "runs_total", "storage_max_bytes")}),
        ("Notifications", {"fields": ("mail_notices", "webhook_url")}),
        ("Rights", {"fields": ("is_active", "is_staff", "is_superuser", "groups")}),
        ("Dates", {"fields": ("date_joined", "last_login")}),
    )
    add_fieldsets = ((None, {"classes": ("wide",), "fields": ("email", "password1", "password2")}),)


@admin.register(AuditEntry)
class AuditEntryAdmin(admin.ModelAdmin):
    """To be read only."""

    list_display = ("time", "actor", "action", "subject", "address")
    list_filter = ("action",)
    list_select_related = ("actor",)
    search_fields = ("actor__email", "subject", "address")
    date_hierarchy = "time"

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: AuditEntry | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: AuditEntry | None = None) -> bool:
        return False
