"""The catalog as the official contract lists it: rows with numbers for countries, services and operators."""

from bot.sandbox.sms_catalog import COUNTRY_BY_SLUG, PLATFORM_BY_SLUG, Product
from bot.sandbox.sms_world import SmsWorld

Row = dict[str, object]

_REGIONAL_INDICATOR_A = 0x1F1E6


def country_title(slug: str) -> str:
    """Return how a country is called; an invented one by its slug."""
    known = COUNTRY_BY_SLUG.get(slug)
    return slug.title() if known is None else known.title


def platform_title(slug: str) -> str:
    """Return how a service is called; an invented one by its slug."""
    known = PLATFORM_BY_SLUG.get(slug)
    return slug.title() if known is None else known.title


class Shelves:
    """The catalog of one world. An unknown number of a country, a service or an operator fits nothing."""

    def __init__(self, world: SmsWorld) -> None:
        self._world = world

    def countries(self) -> list[Row]:
        """Return a row for every country, those without a product included."""
        return [self._country_row(slug) for slug in self._world.names.countries]

    def services(self, country_id: int | None) -> list[Row]:
        """Return a row for every service, or for those with stock in a country."""
        on_sale = {product.platform for product in self.in_stock(country_id, None)}
        return [
            {"id": self._world.names.platforms.of(slug), "code": slug, "name": platform_title(slug), "active": True}
            for slug in self._world.names.platforms
            if country_id is None or slug in on_sale
        ]

    def operators(self, country_id: int, platform_id: int) -> list[Row]:
        """Return a row for every operator with stock, after one for any operator where that has stock as well.

        There is nothing to choose without any, so the list is empty then.
        """
        found = {product.operator for product in self.in_stock(country_id, platform_id)}
        names = sorted(name for name in found if name is not None)
        rows = [self._operator_row(name) for name in names]
        anything: Row = {"operator_id": None, "code": "any", "name": "Any", "local_name": None}
        return [anything, *rows] if rows and None in found else rows

    def in_stock(
        self, country_id: int | None, platform_id: int | None, operator_id: int | None = None
    ) -> list[Product]:
        """Return the products with stock that fit; None fits everything."""
        names = self._world.names
        country = None if country_id is None else names.countries.name(country_id)
        platform = None if platform_id is None else names.platforms.name(platform_id)
        if (country_id is not None and country is None) or (platform_id is not None and platform is None):
            return []
        return [
            product
            for product in self._world.products(country, platform)
            if product.available and operator_id in {None, self.operator_id(product.operator)}
        ]

    def of_kind(self, kind: int) -> list[Product]:
        """Return the products with stock that share a `catalog_product_id`."""
        pair = self._world.names.kinds.name(kind)
        found = [] if pair is None else self._world.products(*pair)
        return [product for product in found if product.linked and product.available]

    def product_row(self, product: Product) -> Row:
        """Return a product as it is listed."""
        return {
            "id": product.id,
            "name": product.name,
            "country_id": self._world.names.countries.of(product.country),
            "platform_id": self._world.names.platforms.of(product.platform),
            "available": product.available,
            "price": product.price,
            "active": True,
            "catalog_product_id": self.kind(product.country, product.platform, linked=product.linked),
            "operator_id": self.operator_id(product.operator),
            "operator_name": product.operator,
        }

    def kind(self, country: str, platform: str, *, linked: bool) -> int | None:
        """Return the `catalog_product_id` of what is sold for a pair; None for what is not linked to one."""
        return self._world.names.kinds.of((country, platform)) if linked else None

    def operator_id(self, name: str | None) -> int | None:
        """Return the number of an operator; None stays None."""
        return None if name is None else self._world.names.operators.of(name)

    def _operator_row(self, name: str) -> Row:
        code = name.lower().replace(" ", "-")
        return {"operator_id": self.operator_id(name), "code": code, "name": name, "local_name": None}

    def _country_row(self, slug: str) -> Row:
        known = COUNTRY_BY_SLUG.get(slug)
        return {
            "id": self._world.names.countries.of(slug),
            "code": None if known is None else known.iso,
            "name": country_title(slug),
            "dial_code": None if known is None else known.calling_code,
            "emoji": None if known is None else _flag(known.iso),
            "active": True,
        }


def _flag(iso: str) -> str:
    return "".join(chr(_REGIONAL_INDICATOR_A + ord(letter) - ord("a")) for letter in iso)
