"""Products on sale in the simulated SMSCode, and phone numbers that fit their countries."""

from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from bot.sandbox.sms_dice import Dice

_PRODUCT_IDS = range(1_000, 100_000)
_FIRST_COUNTRY = 7
_FIRST_PLATFORM = 101
_FIRST_OPERATOR = 401
_FIRST_KIND = 200_001
_PRICE_STEP = 50
_GRADES = (("Economy", 100), ("Standard", 130), ("Priority", 165), ("Premium", 200))
_SOUTH_EAST_ASIA = frozenset({"indonesia", "vietnam", "philippines", "malaysia", "thailand"})

_Name = TypeVar("_Name", bound=Hashable)


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
    """A service that sends codes. `base_price` is in IDR; `countries` is None where it is sold everywhere.

    Products of one that is not `linked` have no common id; each is ordered by its own.
    """

    slug: str
    title: str
    base_price: int
    countries: frozenset[str] | None = None
    linked: bool = True

    def sold_in(self, country: Country) -> bool:
        """Whether numbers of `country` are offered for this platform."""
        return self.countries is None or country.slug in self.countries


COUNTRIES = (
    Country("indonesia", "Indonesia", "62", "812", 8, 100, "id", ("Telkomsel", "Indosat", "XL Axiata")),
    Country("vietnam", "Vietnam", "84", "90", 7, 105, "vn", ("Viettel", "Mobifone")),
    Country("philippines", "Philippines", "63", "917", 7, 110, "ph", ("Globe", "Smart")),
    Country("india", "India", "91", "98", 8, 105, "in", ("Airtel", "Jio")),
    Country("malaysia", "Malaysia", "60", "12", 7, 125, "my"),
    Country("thailand", "Thailand", "66", "81", 7, 130, "th"),
    Country("brazil", "Brazil", "55", "119", 8, 120, "br", ("Vivo", "Claro")),
    Country("mexico", "Mexico", "52", "55", 8, 120, "mx"),
    Country("poland", "Poland", "48", "512", 6, 150, "pl"),
    Country("united-kingdom", "United Kingdom", "44", "7400", 6, 165, "gb"),
    Country("germany", "Germany", "49", "1512", 7, 200, "de"),
    Country("united-states", "United States", "1", "4152", 6, 200, "us"),
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
    Platform("gojek", "Gojek", 1_500, frozenset({"indonesia", "vietnam"}), linked=False),
)

# Global networks (+883) belong to no country: the honest home of numbers for an invented one.
_ELSEWHERE = Country("elsewhere", "Elsewhere", "883", "5100", 8, 100, "xx")
COUNTRY_BY_SLUG = {country.slug: country for country in COUNTRIES}
PLATFORM_BY_SLUG = {platform.slug: platform for platform in PLATFORMS}


def draw_phone_number(country: str, dice: Dice) -> str:
    """Draw a number in E.164 form with the calling code and the length of `country` (a slug)."""
    return COUNTRY_BY_SLUG.get(country, _ELSEWHERE).phone_number(dice)


@dataclass(slots=True)
class Product:
    """One row of the catalog. `price` is in whole IDR; `available` is the stock; `operator` is None for any network.

    `linked` tells whether it can be ordered by the id that all products of its country and platform share.
    """

    id: int
    name: str
    country: str
    platform: str
    price: int
    available: int
    operator: str | None = None
    linked: bool = True


class Numbers(Generic[_Name]):
    """Numbers for names, from `first` on, given out as the names are met and never taken back."""

    def __init__(self, first: int) -> None:
        self._first = first
        self._numbers: dict[_Name, int] = {}

    def __iter__(self) -> Iterator[_Name]:
        return iter(self._numbers)

    def of(self, name: _Name) -> int:
        """Return the number of a name; a new name gets the next one."""
        return self._numbers.setdefault(name, self._first + len(self._numbers))

    def name(self, number: int) -> _Name | None:
        """Return the name with that number, or None where there is none."""
        place = number - self._first
        return list(self._numbers)[place] if 0 <= place < len(self._numbers) else None


class Names:
    """The numbers of countries, platforms and operators, and of every kind: a country and a platform together.

    No two ranges touch, so that a number in the wrong place is never a right one by chance.
    """

    def __init__(self) -> None:
        self.countries: Numbers[str] = Numbers(_FIRST_COUNTRY)
        self.platforms: Numbers[str] = Numbers(_FIRST_PLATFORM)
        self.operators: Numbers[str] = Numbers(_FIRST_OPERATOR)
        self.kinds: Numbers[tuple[str, str]] = Numbers(_FIRST_KIND)
        for country in COUNTRIES:
            self.countries.of(country.slug)
            for operator in country.operators:
                self.operators.of(operator)
        for platform in PLATFORMS:
            self.platforms.of(platform.slug)

    def meet(self, product: Product) -> None:
        """Give a number to each name of a product."""
        self.countries.of(product.country)
        self.platforms.of(product.platform)
        if product.operator is not None:
            self.operators.of(product.operator)
        if product.linked:
            self.kinds.of((product.country, product.platform))


class Catalog:
    """The products on sale, filled from a seed. Ids differ from seed to seed on purpose."""

    def __init__(self, seed: int) -> None:
        self.names = Names()
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

    def put(self, product: Product) -> None:
        """Add a product, or replace the one with its id."""
        self._products[product.id] = product
        self.names.meet(product)

    def clear(self) -> None:
        """Take every product off sale; the names keep their numbers."""
        self._products.clear()

    def fresh_id(self) -> int:
        """Return an id that no product has."""
        number = self._dice.choice(_PRODUCT_IDS)
        while number in self._products:
            number = self._dice.choice(_PRODUCT_IDS)
        return number

    def _stock_pair(self, country: Country, platform: Platform) -> None:
        """Put two to four grades of a pair on sale, each dearer than the one before, each of another operator."""
        operators = (*country.operators, None)
        for rank, (grade, percent) in enumerate(_GRADES[: self._dice.randint(2, len(_GRADES))]):
            list_price = platform.base_price * country.price_percent * percent // 10_000
            # The spread stays below the distance between two grades, so the order of prices holds.
            price = list_price // _PRICE_STEP * _PRICE_STEP + self._dice.randrange(5) * _PRICE_STEP
            # The cheapest grade is always in stock; a dearer one may be sold out, as in life.
            stock = self._dice.randint(5, 200) if rank == 0 else max(0, self._dice.randint(-10, 120))
            name = f"{platform.title} {country.title} {grade}"
            operator = operators[rank % len(operators)]
            number = self.fresh_id()
            self.put(Product(number, name, country.slug, platform.slug, price, stock, operator, platform.linked))
