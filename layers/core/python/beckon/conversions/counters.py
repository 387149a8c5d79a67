"""What an outcome adds to the counters by hour, surface, policy, model and variant."""

from dataclasses import dataclass
from decimal import Decimal

from beckon.conversions.model import Outcome
from beckon.values import iso

MICROS = 1_000_000
NO_CURRENCY = "XXX"  # ISO 4217's own word for it

# ISO 4217, active codes. Each currency is an attribute of a counter item, and a public write key must not be able to
# fill that item with attributes of its invention.
_CURRENCIES = frozenset(
    """
    AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CLP
    CNY COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD HKD HNL HTG HUF IDR
    ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL MGA MKD MMK MNT
    MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD RUB RWF SAR SBD
    SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS UAH UGX USD UYU UZS VED VES
    VND VUV WST XAF XCD XCG XOF XPF YER ZAR ZMW ZWG
    """.split()  # noqa: SIM905 -- a table is read, a list of 150 literals is not
)


@dataclass(frozen=True, slots=True)
class CounterName:
    """Which counter: the UTC hour (YYYY-MM-DDTHH), and what was served. Texts are empty for what no list earned."""

    hour: str
    surface: str = ""
    policy: str = ""
    model: str = ""
    variant: str = ""


def increments(outcome: Outcome) -> dict[CounterName, dict[str, Decimal]]:
    """Return what to add to which counter, each counter once: `<kind>s`, and `<kind>_value_<currency>` in millionths.

    Credits share an outcome by their `share`; what they leave is added to the hour's counter without surface.
    """
    hour = iso(outcome.ts)[:13]
    shares: dict[CounterName, Decimal] = {}
    for credit in outcome.credits:
        name = CounterName(hour, credit.surface, credit.policy, credit.model_id or "", credit.variant or "")
        shares[name] = shares.get(name, Decimal(0)) + Decimal(str(credit.share))
    left = 1 - sum(shares.values(), Decimal(0))
    if left > 0:
        shares[CounterName(hour)] = left
    return {name: _amounts(outcome, share) for name, share in shares.items()}


def _amounts(outcome: Outcome, share: Decimal) -> dict[str, Decimal]:
    amounts = {f"{outcome.kind}s": share}
    if outcome.value is not None:
        currency = outcome.currency if outcome.currency in _CURRENCIES else NO_CURRENCY
        amounts[f"{outcome.kind}_value_{currency}"] = round(Decimal(str(outcome.value)) * MICROS * share, 0)
    return amounts
