"""Customers at Stripe."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Self

from portal.gateway.calls import PAGE, Calls, Params, part
from portal.gateway.fields import Json, id_of, time
from portal.gateway.payment_methods import Card

# Every type of https://docs.stripe.com/api/customer_tax_ids/create, by the country that each begins with.
_TYPES = """
ad_nrt ae_trn al_tin am_tin ao_tin ar_cuit au_abn au_acn au_arn au_wpn aw_tin az_tin ba_tin bb_tin bd_bin bf_ifu
bg_uic bh_vat bj_ifu bo_tin br_cnpj br_cpf bs_tin bw_vat by_tin ca_bn ca_gst_hst ca_pst_bc ca_pst_mb ca_pst_sk
ca_qst cd_nif ch_uid ch_vat ci_vat cl_tin cm_niu cn_tin co_nit cr_tin cv_nif cz_dic de_stn do_rcn ec_ruc eg_tin
es_cif et_tin eu_oss_vat eu_vat fo_vat fr_siren fr_siret fr_spi gb_vat ge_vat gh_tin gi_tin gn_nif hk_br hr_oib
hu_tin ic_nif id_npwp il_vat in_gst is_kt is_vat it_cf jp_cn jp_rn jp_trn ke_pin kg_tin kh_tin kr_brn kz_bin
la_tin li_uid li_vat lk_vat ma_vat md_cf md_vat me_pib mk_vat mr_nif mu_vat mx_rfc my_frp my_itn my_sst mz_nuit
ng_tin no_vat no_voec np_pan nz_bn nz_gst om_vat pe_ruc ph_tin pl_nip pt_nif py_ruc ro_tin rs_pib ru_inn ru_kpp
sa_vat sg_gst sg_uen si_tin sm_coe sn_ninea sr_fin sv_nit th_vat tj_tin tr_tin tt_bir tt_vat tw_vat tz_vat
ua_vat ug_tin us_ein uy_ruc uz_tin uz_vat ve_rif vn_tin za_vat zm_tin zw_tin
"""
TAX_ID_TYPES = tuple(_TYPES.split())
ADDRESS = ("line1", "line2", "postal_code", "city", "state", "country")


@dataclass(frozen=True)
class TaxId:
    """A customer's tax id. `status` is Stripe's check of it: pending, verified, unverified, unavailable."""

    id: str
    type: str
    value: str
    status: str

    @classmethod
    def read(cls, data: Json) -> Self:
        """Read an object from /v1/customers/{id}/tax_ids."""
        return cls(data["id"], data["type"], data["value"], (data.get("verification") or {}).get("status") or "")


@dataclass(frozen=True)
class BalanceChange:
    """A change of a customer's balance that no invoice or credit note shows, such as one made in the Dashboard.

    `amount` is in minor units of `currency`; negative: a credit, which pays the next invoices first.
    """

    amount: int
    currency: str
    at: datetime

    @classmethod
    def read(cls, data: Json) -> Self:
        """Read an object from /v1/customers/{id}/balance_transactions."""
        return cls(data["amount"], data["currency"], datetime.fromtimestamp(data["created"], UTC))


@dataclass(frozen=True)
class Customer:
    """A customer at Stripe. For a deleted one, Stripe returns only its id.

    `payment_method` is the id of the default payment method, `card` its card if it is one.
    """

    id: str
    email: str
    deleted: bool
    payment_method: str | None = None
    card: Card | None = None
    test_clock: str | None = None
    metadata: dict[str, str] = field(default_factory=dict)
    balance: int = 0  # in minor units of `currency`; negative: a credit, which pays the next invoices first
    currency: str | None = None  # None: nothing was charged yet
    other_balances: dict[str, int] = field(default_factory=dict)  # in further currencies, signed as `balance`
    name: str = ""
    address: dict[str, str] = field(default_factory=dict)  # the parts that are known, named as in ADDRESS
    created: datetime | None = None  # None: deleted
    tax_ids: tuple[TaxId, ...] = ()  # newest first; empty unless they were expanded

    @classmethod
    def read(cls, data: Json) -> Self:
        """Read an object from /v1/customers, with invoice_settings.default_payment_method expanded for the
        card.
        """
        method = (data.get("invoice_settings") or {}).get("default_payment_method")
        return cls(
            id=data["id"],
            email=data.get("email") or "",
            deleted=bool(data.get("deleted")),
            payment_method=id_of(method),
            card=Card.read(method),
            test_clock=id_of(data.get("test_clock")),
            metadata=data.get("metadata") or {},
            balance=data.get("balance") or 0,
            currency=data.get("currency"),
            other_balances=_other_balances(data),
            name=data.get("name") or "",
            address={name: value for name in ADDRESS if (value := (data.get("address") or {}).get(name))},
            created=time(data.get("created")),
            tax_ids=tuple(TaxId.read(one) for one in (data.get("tax_ids") or {}).get("data", ())),
        )


class CustomerCalls(Calls):
    """The calls for customers."""

    def create_customer(self, params: Params, idempotency_key: str) -> Customer:
        """Call POST /v1/customers."""
        return Customer.read(self._ask("post", "/v1/customers", params, idempotency_key))

    def update_customer(self, stripe_id: str, params: Params) -> Customer:
        """Call POST /v1/customers/{id}. It sets the given fields, so it can be repeated and needs no
        idempotency key.
        """
        return Customer.read(self._ask("post", f"/v1/customers/{part(stripe_id)}", params))

    def delete_customer(self, stripe_id: str) -> Customer:
        """Call DELETE /v1/customers/{id}.

        It permanently ends subscriptions and removes cards. Invoices and charges stay.
        """
        return Customer.read(self._ask("delete", f"/v1/customers/{part(stripe_id)}"))

    def customer(self, stripe_id: str) -> Customer:
        """Fetch the customer, their default card, tax ids and balances. `deleted` is set on a deleted customer."""
        expand = {"expand": ["invoice_settings.default_payment_method", "tax_ids", "invoice_credit_balance"]}
        return Customer.read(self._ask("get", f"/v1/customers/{part(stripe_id)}", expand))

    def balance_changes(self, customer: str) -> tuple[BalanceChange, ...]:
        """Return the newest changes of a balance that belong to no invoice or credit note, newest first."""
        path = f"/v1/customers/{part(customer)}/balance_transactions"
        newest = self._ask("get", path, {"limit": PAGE})["data"]
        alone = [one for one in newest if not one.get("invoice") and not one.get("credit_note")]
        return tuple(BalanceChange.read(one) for one in alone)

    def every_customer(self) -> Iterator[Customer]:
        """Yield the account's customers, newest first, without their cards."""
        return (Customer.read(data) for data in self._list("/v1/customers", {"limit": PAGE}))

    def create_tax_id(self, customer: str, params: Params, idempotency_key: str) -> TaxId:
        """Call POST /v1/customers/{id}/tax_ids."""
        path = f"/v1/customers/{part(customer)}/tax_ids"
        return TaxId.read(self._ask("post", path, params, idempotency_key))

    def delete_tax_id(self, customer: str, tax_id: str) -> None:
        """Call DELETE /v1/customers/{id}/tax_ids/{id}. Raises StripeRefused if it does not exist."""
        self._ask("delete", f"/v1/customers/{part(customer)}/tax_ids/{part(tax_id)}")

    def set_default_method(self, customer: str, method: str, idempotency_key: str) -> Customer:
        """Make this payment method the default for a customer's invoices. Repeating it changes nothing."""
        params = {"invoice_settings": {"default_payment_method": method}}
        return Customer.read(self._ask("post", f"/v1/customers/{part(customer)}", params, idempotency_key))


def _other_balances(data: Json) -> dict[str, int]:
    """Return the balances in further currencies. In invoice_credit_balance a credit is positive."""
    found = data.get("invoice_credit_balance") or {}
    return {name: -amount for name, amount in found.items() if amount and name != data.get("currency")}
