"""What people mistype, paste and try: nothing is ordered by mistake, and every answer can be read."""

from bot.sandbox.bot_api import OMAR
from storage import orders
from tests.scene import Scene

REFUSED = {
    "": "Platforms",
    "   \u200b\u200e  ": "Platforms",
    "max=5000": "Say what for and where",
    "note=whatsapp indonesia": "Platforms",
    "whatsapp": "🇮🇩 Indonesia",
    "whatsapp ,,, ,": "🇮🇩 Indonesia",
    "whatsapp max=5000": "Name a country",
    "whatsap1 indonesia": "Did you mean whatsapp?",
    "whatsapp indonesai": "Did you mean indonesia",
    "whatsapp ind": "Did you mean indonesia, india",
    "zzzzqq indonesia": "I know no platform “zzzzqq”. /catalog shows what there is.",
    "🙂 indonesia": "I know no platform “🙂”",
    "whatsapp 🇮🇩": "I know no country",
    "whatsapp indonesia vietnam": "Put commas between countries. Did you mean /order whatsapp indonesia,vietnam?",
    "whatsapp indonesia 5000": "The highest price is written max=5000. Did you mean",
    "indonesia whatsapp": "The platform comes first. Did you mean /order whatsapp indonesia?",
    "whatsapp indonesia,atlantis": "I know no country “atlantis”",
    "gojek brazil": "gojek is sold out in brazil",
    "whatsapp indonesia max=1": "Nothing for whatsapp in indonesia up to Rp 1; the cheapest is Rp",
    "whatsapp indonesia max=0": "up to Rp 0; the cheapest is",
    "whatsapp indonesia max=-1": "“-1” is not an amount; write whole rupiah such as 3500",
    "whatsapp indonesia max=1e9": "“1e9” is not an amount",
    "whatsapp indonesia max=１０": "“１０” is not an amount",
    "whatsapp indonesia max=٥٠٠٠": "is not an amount",
    "whatsapp indonesia max=NaN": "“NaN” is not an amount",
    "whatsapp indonesia max=inf": "is not an amount",
    "whatsapp indonesia max=": "“” is not an amount",
    "whatsapp indonesia max=9999999999": "is more than the desk handles",
    "whatsapp indonesia max=" + "9" * 40: "“" + "9" * 24 + "…” is not an amount",
    "whatsapp indonesia max=5000 max=6000": "Max= is there twice",
    "whatsapp indonesia MAX=5000 max=5000": "Max= is there twice",
    "whatsapp indonesia max=5000 please": "“5000 please” is not an amount",
    "whatsapp indonesia max = 5000": "I know no country “indonesia max = 5000”",
    "whatsapp indonesia max:5000": "I know no country “indonesia max:5000”",
    "whatsapp indonesia limit=5000": "I do not know limit=",
    "whatsapp indonesia,vietnam,india,malaysia,thailand,brazil": "At most 5 countries at once",
    "whatsapp indonesia note=" + "n" * 201: "at most 200 characters; this one has 201",
    "x" * 65 + " indonesia": "A name has at most 64 characters",
    "whatsapp " + "x" * 65: "A name has at most 64 characters",
    "whatsapp indonesia " + "y" * 3900: "too long for a command",
    "<b>bold</i> indonesia": "I know no platform “<b>bold</i>”",
    'whatsapp <a href="tg://user?id=1">x</a>': "I do not know href=",
    "whatsapp <code>indonesia</code>": "I know no country “<code>indonesia</code>”",
    "whatsapp &lt;indonesia&gt; & co": "I know no country “&lt;indonesia&gt; & co”",
    "whatsapp indonesia max=<u>5</u>": "“<u>5</u>” is not an amount",
    "whatsapp indonesia <s>=5": "I know no country “indonesia <s>=5”",
    "whatsapp'; DROP TABLE orders;-- indonesia": "I know no country “DROP TABLE orders;-- indonesia”",
    "whatsapp %s {0} ${x}": "I know no country “%s {0} ${x}”",
}


async def test_what_cannot_be_meant_is_answered_and_orders_nothing(scene: Scene) -> None:
    for typed, answer in REFUSED.items():
        await scene.ask(OMAR, f"/order {typed}".strip(), answer)
    assert not scene.sms.books.charges
    assert await scene.count("SELECT count(*) FROM orders") == 0
    await scene.reconcile()


async def test_names_are_found_however_they_are_dressed(scene: Scene) -> None:
    scene.sms.set_balance(1_000_000)
    scene.sms.set_product("indonesia", "whatsapp", 100, 100)
    await scene.ask(1001, f"/limit {OMAR} active_orders 50", "at most 50")
    for typed in (
        "what\u200bsapp indo\u200enesia",
        "\u202eWhatsApp\u202c \u2067INDONESIA\u2069",
        "WHATS-APP Indonesia",
        "whatsapp\n\tindonesia\u00a0",
        "ｗｈａｔｓａｐｐ indonésia",
        "whatsa indo",
        "whatsapp indonesia, indonesia ,INDONESIA max=100",
    ):
        order = await scene.order(typed)
        assert (order.platform, order.country, order.price) == ("whatsapp", "indonesia", 100), typed
    order = await scene.order("whatsapp united kingdom,united states")
    assert order.country == "united-kingdom"


async def test_a_note_arrives_as_it_was_written(scene: Scene) -> None:
    note = "<b>build 214</b> & 'quotes'); DROP TABLE orders;-- max=7 🙂 a=b"
    await scene.order(f"whatsapp indonesia max=19.999 note={note}")
    kept = await scene.app.desk.database.read(lambda connection: orders.get(connection, 1))
    assert kept is not None
    assert (kept.note, kept.max_price) == (note, 19_999)
    assert note in scene.said_by_bot(OMAR)[-1]
    await scene.ask(OMAR, "/orders", note)
    longest = "&" * 200
    await scene.order(f"whatsapp indonesia note={longest}")
    await scene.ask(OMAR, "/orders", longest)


async def test_an_empty_shelf_is_said_and_costs_nothing(scene: Scene) -> None:
    for product in scene.sms.products("indonesia", "whatsapp"):
        scene.sms.set_stock(product.id, 0)
    await scene.ask(OMAR, "/order whatsapp indonesia", "whatsapp is sold out in indonesia. Nothing was charged")
    await scene.ask(OMAR, "/catalog whatsapp indonesia", "sold out")
    scene.sms.clear_catalog()
    scene.clock.jump(120)
    await scene.ask(OMAR, "/order whatsapp indonesia", "Nothing was charged")
    await scene.ask(OMAR, "/catalog", "Platforms: nothing is in stock")
    assert not scene.sms.books.charges


async def test_the_other_commands_read_as_strictly(scene: Scene) -> None:
    await scene.order()
    for typed, answer in {
        "/cancel -1": "“-1” is no order number",
        "/cancel １": "is no order number",
        "/cancel <b>": "“<b>” is no order number",
        "/cancel 99": "There is no order #99 that you may see. Live: #1",
        "/cancel 1 2": "“1 2” is no order number",
        "/cancel " + "1" * 40: "is no order number",
        "/again 0": "There is no order #0",
        "/catalog <i>": "I know no platform “<i>”",
        "/catalog nowhere nothing": "I know no platform “nowhere”",
        "/catalog " + "z" * 3900: "too long for a command",
        "/help <b>": "/order [platform]",
        "/whoami now please": "Telegram id",
    }.items():
        await scene.ask(OMAR, typed, answer)
    assert len(scene.sms.live_orders()) == 1
