"""Products on sale in the simulated SMSCode, and phone numbers that fit their countries."""

from collections.abc import Iterator
from dataclasses import dataclass

from bot.sandbox.sms_dice import Dice

_PRODUCT_IDS = range(1_000, 100_000)
_PRICE_STEP = 50
_GRADES = (("Economy", 100), ("Standard", 130), ("Priority", 165), ("Premium", 200))
_SOUTH_EAST_ASIA = frozenset({"indonesia", "vietnam", "philippines", "malaysia", "thailand"})


@dataclass(frozen=True, slots=True)
class Country:
    """A country of numbers. `price_percent` scales the platform's base price; `operators` are its mobile networks."""

    slug: str
    title: str
    calling_code: str
    mobile_prefix: str
    subscriber_digits: int
    price_percent: int
    iso: str
    operators: tuple[str, ...] = ()

    def phone_number(self, dice: Dice) -> str:
        """Draw a mobile number in E.164 form."""
        return f"+{self.calling_code}{self.mobile_prefix}{dice.digits(self.subscriber_digits)}"


@dataclass(frozen=True, slots=True)
class Platform:
    """A service that sends codes. `base_price` is in IDR; `countries` is None where it is sold everywhere."""

    slug: str
    title: str
    base_price: int
    countries: frozenset[str] | None = None

    def sold_in(self, country: Country) -> bool:
        """Whether numbers of `country` are offered for this platform."""
        return self.countries is None or country.slug in self.countries


COUNTRIES = (
    Country("indonesia", "Indonesia", "62", "812", 8, 100, "ID", ("Telkomsel", "Indosat", "XL Axiata")),
    Country("vietnam", "Vietnam", "84", "90", 7, 105, "VN", ("Viettel", "Mobifone")),
    Country("philippines", "Philippines", "63", "917", 7, 110, "PH", ("Globe", "Smart")),
    Country("india", "India", "91", "98", 8, 105, "IN", ("Airtel", "Jio")),
    Country("malaysia", "Malaysia", "60", "12", 7, 125, "MY"),
    Country("thailand", "Thailand", "66", "81", 7, 130, "TH"),
    Country("brazil", "Brazil", "55", "119", 8, 120, "BR", ("Vivo", "Claro")),
    Country("mexico", "Mexico", "52", "55", 8, 120, "MX"),
    Country("poland", "Poland", "48", "512", 6, 150, "PL"),
    Country("united-kingdom", "United Kingdom", "44", "7400", 6, 165, "GB"),
    Country("germany", "Germany", "49", "1512", 7, 200, "DE"),
    Country("united-states", "United States", "1", "4152", 6, 200, "US"),
)

PLATFORMS = (
    Platform("whatsapp", "WhatsApp", 4_000),
    Platform("telegram", "Telegram", 4_500),
    Platform("google", "Google", 2_500),
    Platform("facebook", "Facebook", 2_000),
    Platform("instagram", "Instagram", 2_200),
    Platform("tiktok", "TikTok", 1_800),
    Platform("discord", "Discord", 1_600),
    Platform("shopee", "Shopee", 1_700, _SOUTH_EAST_ASIA | {"brazil", "mexico"}),
    Platform("grab", "Grab", 1_900, _SOUTH_EAST_ASIA),
    Platform("gojek", "Gojek", 1_500, frozenset({"indonesia", "vietnam"})),
)

# Global networks (+883) belong to no country: the honest home of numbers for an invented one.
_ELSEWHERE = Country("elsewhere", "Elsewhere", "883", "5100", 8, 100, "XX")
_COUNTRY_BY_SLUG = {country.slug: country for country in COUNTRIES}


def draw_phone_number(country: str, dice: Dice) -> str:
    """Draw a number in E.164 form with the calling code and the length of `country` (a slug)."""
    return _COUNTRY_BY_SLUG.get(country, _ELSEWHERE).phone_number(dice)


@dataclass(slots=True)
class Product:
    """One row of the catalog. `price` is in whole IDR; `available` is the stock; `operator` is None for any network."""

    id: int
    name: str
    country: str
    platform: str
    price: int
    available: int
    operator: str | None = None


class Catalog:
    """The products on sale, filled from a seed. Ids differ from seed to seed on purpose."""

    def __init__(self, seed: int) -> None:
        self._dice = Dice(seed, "catalog")
        self._products: dict[int, Product] = {}
        for country in COUNTRIES:
            for platform in PLATFORMS:
                if platform.sold_in(country):
                    self._stock_pair(country, platform)

    def __iter__(self) -> Iterator[Product]:
        return iter(self._products.values())

    def get(self, product_id: int) -> Product | None:
        """Return the product with this id, or None where it is not on sale."""
        return self._products.get(product_id)

    def find(self, country: str | None, platform: str | None) -> list[Product]:
        """Return the products of a country and a platform (slugs in any case); None means any."""
        return [
            product
            for product in self
            if (country is None or product.country == country.lower())
            and (platform is None or product.platform == platform.lower())
        ]

    def put(
        self,
        country: str,
        platform: str,
        price: int,
        stock: int,
        name: str | None,
        product_id: int | None,
        operator: str | None = None,
    ) -> Product:
        """Add a product, or replace the one with `product_id`.

        Raises:
            ValueError: a price or a stock below zero.
        """
        if price < 0 or stock < 0:
            raise ValueError("neither a price nor a stock can be below zero")
        number = self._fresh_id() if product_id is None else product_id
        title = name or f"{platform.title()} {country.title()}"
        product = Product(number, title, country.lower(), platform.lower(), price, stock, operator)
        self._products[number] = product
        return product

    def clear(self) -> None:
        """Take every product off sale."""
        self._products.clear()

    def _fresh_id(self) -> int:
        number = self._dice.choice(_PRODUCT_IDS)
        while number in self._products:
            number = self._dice.choice(_PRODUCT_IDS)
        return number

    def _stock_pair(self, country: Country, platform: Platform) -> None:
        """Put two to four grades of a pair on sale, each dearer than the one before."""
        for rank, (grade, percent) in enumerate(_GRADES[: self._dice.randint(2, len(_GRADES))]):
            list_price = platform.base_price * country.price_percent * percent // 10_000
            # The spread stays below the distance between two grades, so the order of prices holds.
            price = list_price // _PRICE_STEP * _PRICE_STEP + self._dice.randrange(5) * _PRICE_STEP
            # The cheapest grade is always in stock; a dearer one may be sold out, as in life.
            stock = self._dice.randint(5, 200) if rank == 0 else max(0, self._dice.randint(-10, 120))
            name = f"{platform.title} {country.title} {grade}"
            networks = country.operators
            operator = networks[rank % len(networks)] if networks else None
            self.put(country.slug, platform.slug, price, stock, name, None, operator)
