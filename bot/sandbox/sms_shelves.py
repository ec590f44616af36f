"""The catalog of the simulated SMSCode in whole numbers: ids of countries, services, operators and kinds of product."""

from collections.abc import Iterable

from bot.sandbox.sms_catalog import COUNTRIES, PLATFORMS, Country, Product
from bot.sandbox.sms_world import SmsWorld

_FIRST_COUNTRY = 7
_FIRST_SERVICE = 1
_FIRST_OPERATOR = 41
_FIRST_KIND = 500
WITHOUT_KIND = frozenset({"gojek"})
"""Platforms whose products are only sold one by one."""

_CODES = {"whatsapp": "wa", "telegram": "tg", "google": "go", "facebook": "fb", "instagram": "ig", "tiktok": "lf"}


class Shelves:
    """Numbers for the names of one world's catalog, given out as they are met and never taken back."""

    def __init__(self, world: SmsWorld) -> None:
        self._world = world
        self._countries = [country.slug for country in COUNTRIES]
        self._services = [platform.slug for platform in PLATFORMS]
        self._operators = [name for country in COUNTRIES for name in country.operators]
        self._kinds: list[tuple[str, str]] = []

    def countries(self) -> list[dict[str, object]]:
        """Return every country as the API lists it."""
        self._meet()
        return [self._country_row(slug) for slug in self._countries]

    def services(self, country_id: int | None) -> list[dict[str, object]]:
        """Return every service, or those on sale in a country."""
        self._meet()
        country = None if country_id is None else self.country(country_id)
        on_sale = {product.platform for product in self._world.products()}
        if country_id is not None:
            on_sale = {product.platform for product in self._world.products(country or "?")}
        return [self._service_row(slug) for slug in self._services if country_id is None or slug in on_sale]

    def operators(self, country_id: int, platform_id: int) -> list[dict[str, object]]:
        """Return the mobile networks that a pair's products can be had of, "any" first."""
        found = {product.operator for product in self.pair(country_id, platform_id) if product.operator is not None}
        rows: list[dict[str, object]] = [{"operator_id": None, "code": "any", "name": "Any", "local_name": None}]
        for name in sorted(found):
            code = name.lower().replace(" ", "-")
            rows.append({"operator_id": self.operator_id(name), "code": code, "name": name, "local_name": None})
        return rows

    def pair(self, country_id: int | None, platform_id: int | None) -> list[Product]:
        """Return the products of a country and a service; None means any, an unknown id means none."""
        self._meet()
        country = None if country_id is None else self.country(country_id) or "?"
        platform = None if platform_id is None else self.platform(platform_id) or "?"
        return self._world.products(country, platform)

    def of_kind(self, kind: int) -> list[Product]:
        """Return the products that a catalog product stands for; none where there is no such kind."""
        self._meet()
        place = kind - _FIRST_KIND
        return self._world.products(*self._kinds[place]) if 0 <= place < len(self._kinds) else []

    def product_row(self, product: Product) -> dict[str, object]:
        """Return a product as the API lists it."""
        return {
            "id": product.id,
            "name": product.name,
            "country_id": self.country_id(product.country),
            "platform_id": self.platform_id(product.platform),
            "available": product.available,
            "price": product.price,
            "active": True,
            "catalog_product_id": self.kind(product.country, product.platform),
            "operator_id": self.operator_id(product.operator),
            "operator_name": product.operator,
        }

    def country(self, number: int) -> str | None:
        """Return the country of that number."""
        return _at(self._countries, number - _FIRST_COUNTRY)

    def platform(self, number: int) -> str | None:
        """Return the service of that number."""
        return _at(self._services, number - _FIRST_SERVICE)

    def country_id(self, slug: str) -> int:
        """Return the number of a country."""
        return _FIRST_COUNTRY + _place(self._countries, slug)

    def platform_id(self, slug: str) -> int:
        """Return the number of a service."""
        return _FIRST_SERVICE + _place(self._services, slug)

    def operator_id(self, name: str | None) -> int | None:
        """Return the number of a mobile network; None stays None."""
        return None if name is None else _FIRST_OPERATOR + _place(self._operators, name)

    def kind(self, country: str, platform: str) -> int | None:
        """Return the number of the catalog product that a pair's products belong to, if they do."""
        if platform in WITHOUT_KIND:
            return None
        pair = (country, platform)
        if pair not in self._kinds:
            self._kinds.append(pair)
        return _FIRST_KIND + self._kinds.index(pair)

    def title(self, slug: str) -> str:
        """Return how a country or a service is called."""
        titles: Iterable[tuple[str, str]] = [(known.slug, known.title) for known in (*COUNTRIES, *PLATFORMS)]
        return dict(titles).get(slug, slug.title())

    def _meet(self) -> None:
        """Number what a script has put on sale since."""
        for product in self._world.products():
            self.country_id(product.country)
            self.platform_id(product.platform)
            self.kind(product.country, product.platform)

    def _country_row(self, slug: str) -> dict[str, object]:
        known: Country | None = next((country for country in COUNTRIES if country.slug == slug), None)
        row: dict[str, object] = {"id": self.country_id(slug), "name": self.title(slug), "active": True}
        if known is not None:
            flag = "".join(chr(0x1F1E6 + ord(letter) - ord("A")) for letter in known.iso)
            row |= {"code": known.iso, "dial_code": f"+{known.calling_code}", "emoji": flag}
        return row

    def _service_row(self, slug: str) -> dict[str, object]:
        code = _CODES.get(slug, slug[:3])
        return {"id": self.platform_id(slug), "name": self.title(slug), "code": code, "active": True}


def _place(shelf: list[str], name: str) -> int:
    if name not in shelf:
        shelf.append(name)
    return shelf.index(name)


def _at(shelf: list[str], place: int) -> str | None:
    return shelf[place] if 0 <= place < len(shelf) else None
