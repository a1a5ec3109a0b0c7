"""Who is signed in, who may do what, and what the door lets through."""

import ast
import threading
from pathlib import Path
from types import SimpleNamespace

import deps
import pytest
import roles
import server
import settings
import sign_in
import theme
import viewer
from roles import Action, Person
from sessions import IDLE_NANO, LONGEST_NANO, MAX_WRONG, Sessions, Throttle
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from otel_audit.model import Filter
from otel_audit.reports.access_tokens import Role, TokenFile

NOW = 1_800_000_000 * 10**9
DAY = 86_400 * 10**9
APP_PAGES = ast.parse((theme.HERE / "app.py").read_text(encoding="utf-8"))


class Clock:
    now = NOW

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def tokens(tmp_path):
    return TokenFile(tmp_path / "tokens.json")


@pytest.fixture
def sessions(tokens, clock):
    return Sessions(tokens, clock)


def a_token(tokens, name="Ada", role=Role.COMPLIANCE, scope=Filter(), days=365):  # noqa: B008 - frozen
    return tokens.create(name, role, NOW + days * DAY, scope, NOW)


def test_a_session_is_its_tokens_holder(tokens, sessions):
    """A right token begins a session of its holder, role and scope; each sign-in has an id of its own."""
    scope = Filter(service=("loans",))
    secret, _ = a_token(tokens, "Ada", Role.AUDITOR, scope)
    (first, person), (second, again) = sessions.sign_in(secret), sessions.sign_in(secret)
    assert (person.name, person.role, person.scope) == ("Ada", Role.AUDITOR, scope)
    assert sessions.person(first) == person
    assert first != second
    assert person.sign_in != again.sign_in
    assert secret not in first
    assert len(first) >= 43


@pytest.mark.parametrize("wrong", ["", "oat_", "x" * 5000, "ä\0"])
def test_what_is_no_token_begins_nothing(tokens, sessions, wrong):
    """A wrong token, and a wrong session id, are nobody."""
    a_token(tokens)
    assert sessions.sign_in(wrong) is None
    assert sessions.person(wrong) is None


def test_a_session_ends_without_use_and_after_its_longest_time(tokens, sessions, clock):
    """Use keeps a session alive, an hour without ends it, and after twelve hours it ends in any case."""
    secret, _ = a_token(tokens)
    kept, left = sessions.sign_in(secret)[0], sessions.sign_in(secret)[0]
    while clock.now + IDLE_NANO // 2 < NOW + LONGEST_NANO:
        clock.now += IDLE_NANO // 2
        assert sessions.person(kept)
    assert sessions.person(left) is None
    clock.now = NOW + LONGEST_NANO
    assert sessions.person(kept) is None


def test_a_session_ends_with_its_token(tokens, sessions, clock):
    """A token that expires, or that another process revokes, ends its sessions at the next look; no other's."""
    (short, _), (long, made), (other, _) = a_token(tokens, days=1), a_token(tokens), a_token(tokens)
    clock.now += DAY - 10
    one, two, three = (sessions.sign_in(each)[0] for each in (short, long, other))
    clock.now += 9
    assert sessions.person(one)
    clock.now += 1
    assert sessions.person(one) is None
    TokenFile(tokens.path).revoke(made.id, clock.now)
    assert sessions.person(two) is None
    assert sessions.person(three)
    assert sessions.sign_in(long).id == made.id  # known whose it was, and not let in


def test_signing_out_ends_the_session_for_good(tokens, sessions):
    """After signing out the id is worth nothing; other sessions of the same token go on."""
    secret, _ = a_token(tokens)
    one, two = sessions.sign_in(secret)[0], sessions.sign_in(secret)[0]
    sessions.sign_out(one)
    assert sessions.person(one) is None
    assert sessions.person(two)


def test_many_sign_in_at_once(tokens, sessions):
    """Sessions that begin in several threads are all there, and belong to whom they should."""
    secrets, found = [a_token(tokens, f"p{number}")[0] for number in range(4)], {}

    def enter(number):
        found[number] = [sessions.sign_in(secrets[number])[0] for _ in range(20)]

    threads = [threading.Thread(target=enter, args=(number,)) for number in range(4)]
    [each.start() for each in threads]
    [each.join() for each in threads]
    for number, ids in found.items():
        assert {sessions.person(each).name for each in ids} == {f"p{number}"}


def test_wrong_tokens_are_counted_by_address():
    """Ten wrong tokens of one address within a minute, then it has to wait; others do not, and memory is bounded."""
    clock = Clock()
    clock.now = 0.0
    throttle = Throttle(clock)
    assert [throttle.wrong("a") for _ in range(MAX_WRONG)] == [0] * MAX_WRONG
    clock.now = 20.0
    assert throttle.wrong("a") == 40
    assert throttle.wrong("b") == 0
    clock.now = 61.0
    assert throttle.wrong("a") == 0
    for number in range(20_000):
        throttle.wrong(str(number))
    assert len(throttle._wrong) <= 10_001


def pages_of_the_app():
    """The paths of ``PAGES`` in app.py, read and not imported: importing draws the page."""
    calls = [each for each in ast.walk(APP_PAGES) if isinstance(each, ast.Call)]
    entries = [each for each in calls if isinstance(each.func, ast.Name) and each.func.id == "Entry"]
    return {each.args[3].value for each in entries if len(each.args) > 3}


def test_every_page_and_route_has_a_line_in_the_table(tokens, sessions):
    """A page or a route that is added without saying who may see it fails here; a route that is gone, too."""
    assert {"", "task", "integrity"} <= pages_of_the_app() <= roles.PAGES.keys()
    assert {each.path for each in server.routes(sessions)} == roles.ROUTES.keys()
    assert roles.ACTIONS.keys() == set(Action)
    assert set(Role) == set(roles.ROLE_WORDS) == roles.PAGES[""]
    assert roles.PAGES.keys() >= roles.WHOLE_PAGES
    with pytest.raises(KeyError):
        server.guarded(Route("/export/new", lambda _: None))
    assert not Person("x", Role.COMPLIANCE).may_open("new")


def test_nothing_is_kept_between_viewers_without_their_sight():
    """Whatever is kept for all viewers has what one may see as the first part of its key."""
    kept = 0
    for path in Path(theme.HERE).rglob("*.py"):
        for each in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            if any("cache_data" in ast.unparse(one) or "cache_resource" in ast.unparse(one)
                   for one in each.decorator_list):  # fmt: skip
                kept += 1
                assert each.args.args[0].arg == "sight", f"{path}: {each.name}"
    assert kept >= 5


@pytest.mark.parametrize("role", list(Role))
def test_a_part_of_the_record_has_nothing_that_is_about_all_of_it(role):
    """A scope takes away what counts over everything, and gives nothing."""
    whole, part = Person("x", role), Person("x", role, Filter(service=("a",)))
    assert whole.sees_whole
    assert part.sight.scope == Filter(service=("a",))
    for page in roles.PAGES:
        assert part.may_open(page) == (whole.may_open(page) and page not in roles.WHOLE_PAGES)
    for action in Action:
        assert part.may(action) == (whole.may(action) and action not in roles.WHOLE_ACTIONS)
    assert whole.sight.texts == (role != Role.PRODUCT)


def test_the_table_says_what_it_should():
    """Compliance may do everything; only it signs log reviews; who looked is not for engineers and product teams."""
    ada = Person("Ada", Role.COMPLIANCE)
    assert all(map(ada.may_open, roles.PAGES))
    assert all(map(ada.may, Action))
    assert roles.ACTIONS[Action.SIGN_LOG_REVIEW] == {Role.COMPLIANCE}
    assert roles.PAGES["access"] == {Role.COMPLIANCE, Role.AUDITOR}
    assert Person("me").may_open("access")  # without a sign-in there is no role


@pytest.mark.parametrize(
    ("host", "chosen", "asks"),
    [
        ("127.0.0.1", None, False),
        ("::1", None, False),
        ("localhost", None, False),
        ("127.0.0.1", "token", True),
        ("0.0.0.0", None, True),
        ("::", None, True),
        ("192.0.2.7", None, True),
        ("localhost.example.com", None, True),
        ("", None, True),
        ("192.0.2.7", "none", False),
    ],
)
def test_beyond_this_machine_people_sign_in_unless_told_otherwise(host, chosen, asks):
    """On this machine alone nobody has to sign in; wherever others reach it everybody has, unless `none` is said."""
    assert server.asks_for_tokens(host, chosen) == asks


def test_a_sign_in_without_a_place_for_tokens_does_not_start(capsys):
    """With a server by URL there is no data folder: then the file of the tokens has to be named."""
    with pytest.raises(SystemExit) as ended:
        server.main(["--url", "http://reader@127.0.0.1:1/audit", "--host", "0.0.0.0"])
    assert ended.value.code == 2
    assert "--tokens FILE" in capsys.readouterr().err


def test_a_start_says_that_nobody_can_sign_in_yet(tokens, monkeypatch, capsys):
    """Without a valid token the start says how to make one; tokens that others can read end it."""
    started = []
    monkeypatch.setattr(server, "build_app", lambda *_: SimpleNamespace(run=lambda **_: started.append(1)))
    asked = ["--data", "nowhere", "--sign-in", "token", "--tokens", str(tokens.path)]
    monkeypatch.setattr("sys.argv", [])
    server.main(asked)
    assert f"otel-audit token create --tokens {tokens.path}" in capsys.readouterr().err
    tokens.create("Ada", Role.COMPLIANCE, 2**62, Filter(), 1)
    server.main(asked)
    assert capsys.readouterr().err == ""
    assert started == [1, 1]
    tokens.path.chmod(0o644)
    with pytest.raises(SystemExit):
        server.main(asked)
    assert "chmod 600" in capsys.readouterr().err
    deps.configure(settings.Settings())


@pytest.fixture
def recorded(monkeypatch):
    found = []
    monkeypatch.setattr(viewer, "record", lambda *given, **more: found.append((given[0], given[1], more)))
    return found


@pytest.fixture
def client(sessions, recorded):
    """The door before pages, routes and a connection that tell who they were opened by."""

    async def who(_request):
        return PlainTextResponse(viewer.name())

    async def connected(websocket):
        await websocket.accept()
        await websocket.send_text("open")
        await websocket.close()

    deps.configure(settings.Settings(sessions=sessions))
    inside = [Route(f"/{page}", who) for page in roles.PAGES]
    app = Starlette(
        routes=[*server.routes(sessions), *inside, WebSocketRoute("/_stcore/stream", connected)],
        middleware=[Middleware(sign_in.SignIn, sessions=sessions)],
    )
    yield TestClient(app, base_url="http://127.0.0.1:8501", follow_redirects=False)
    deps.configure(settings.Settings())


def enter(client, secret, onward="/", **headers):
    return client.post("/sign-in", data={"token": secret, "next": onward}, headers=headers)


def cookie_of(client):
    return {"Cookie": f"otel_audit_session={client.cookies['otel_audit_session']}"}


ROUTES = ("/export/events.csv?why=x", "/export/events.csv.zip?why=x", "/export/figures/usage.csv?why=x",
          "/export/evidence.zip?why=x", "/export/report/soc2.zip?why=x")  # fmt: skip


def test_without_a_session_nothing_answers(client):
    """Pages lead to the sign-in page, with the way back; everything else is 401; a connection is not accepted."""
    for page in roles.PAGES:
        answer = client.get(f"/{page}?id=a%26b&x=1")
        assert answer.status_code == 303
        assert answer.headers["location"] == f"/sign-in?next=%2F{page}%3Fid%3Da%2526b%26x%3D1"
        assert client.post(f"/{page}").status_code == 401
    for path in (*ROUTES, "/_stcore/health", "/static/index.js", "/media/x", "/nowhere", "/task/_stcore/health"):
        answer = client.get(path, headers={"Cookie": "otel_audit_session=" + "x" * 43})
        assert (answer.status_code, answer.text) == (401, "Sign in first.")
    with pytest.raises(WebSocketDisconnect), client.websocket_connect("/_stcore/stream"):
        pass
    assert client.get("/healthz").text == "ok"


def test_signing_in_leads_on_and_is_recorded(client, tokens, recorded):
    """The cookie holds no token and no script reads it; the link survives; the record names the person alone."""
    secret, _ = a_token(tokens)
    answer = enter(client, f" {secret}\n", "/task?id=loan-1&x=%26")
    assert (answer.status_code, answer.headers["location"]) == (303, "/task?id=loan-1&x=%26")
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert "Secure" not in cookie
    assert secret not in cookie
    assert client.get("/task").text == "Ada"
    assert client.get("/task").headers["cache-control"] == "no-store"
    assert client.get("/sign-in?next=%2Fusage").headers["location"] == "/usage"
    with client.websocket_connect("/_stcore/stream", headers=cookie_of(client)) as opened:
        assert opened.receive_text() == "open"
    assert recorded == [("SIGN_IN", "dashboard", {"actor": "Ada", "always": True})]


def test_behind_https_the_cookie_is_for_https_and_this_host_alone(client, tokens):
    """Where a proxy ends https, the cookie is Secure and bound to the host, and no other cookie counts."""
    secret, _ = a_token(tokens)
    cookie = enter(client, secret, **{"X-Forwarded-Proto": "https"}).headers["set-cookie"]
    assert cookie.startswith("__Host-otel_audit_session=")
    assert "; Secure" in cookie
    assert "Path=/" in cookie
    value = cookie.split("=", 1)[1].split(";")[0]
    client.cookies.clear()
    https = {"X-Forwarded-Proto": "https"}
    assert client.get("/task", headers=https | {"Cookie": f"otel_audit_session={value}"}).status_code == 303
    assert client.get("/task", headers=https | {"Cookie": f"__Host-otel_audit_session={value}"}).text == "Ada"


@pytest.mark.parametrize(
    "onward", ["//evil.example/x", "/\\evil.example", "https://evil.example", "/a\nb", "", "/sign-in", "javascript:x"]
)
def test_no_sign_in_leads_elsewhere(client, tokens, onward):
    """The way back is a path here, whatever a link says."""
    assert enter(client, a_token(tokens)[0], onward).headers["location"] == "/"


def test_wrong_tokens_are_refused_counted_and_recorded(client, tokens, recorded):
    """A wrong token sets no cookie; an ended one is recorded by name; after ten it is 429, and a right one passes."""
    secret, made = a_token(tokens)
    tokens.revoke(made.id, NOW)
    answer = enter(client, secret)
    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers
    assert "no valid access token" in answer.text
    assert secret not in answer.text
    others = [enter(client, "oat_<b>wrong", '"><script>').status_code for _ in range(MAX_WRONG + 1)]
    assert others == [403] * (MAX_WRONG - 1) + [429] * 2
    assert "<b>" not in enter(client, "oat_<b>wrong").text
    assert "<script>" not in enter(client, "x", '"><script>').text
    assert [more["actor"] for _, _, more in recorded] == ["Ada"] + ["unknown"] * (MAX_WRONG - 1)
    assert all(more["outcome"] == "failure" for _, _, more in recorded)
    assert enter(client, a_token(tokens)[0]).status_code == 303
    assert client.post("/sign-in", content="token=" + "x" * 10_000).status_code == 413


def test_other_pages_can_not_sign_in_or_connect(client, tokens):
    """A form of another site, and a connection from another port of this machine, are refused."""
    secret, _ = a_token(tokens)
    for hostile in ({"Origin": "http://127.0.0.1:3000"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}):
        assert enter(client, secret, **hostile).status_code == 403
    assert enter(client, secret, Origin="http://127.0.0.1:8501").status_code == 303
    for origin, closed in (("http://testserver", 1000), ("http://testserver:3000", 4401), ("null", 4401)):
        with pytest.raises(WebSocketDisconnect) as ended:  # noqa: SIM117, PT012 - the block is what is opened
            with client.websocket_connect("/_stcore/stream", headers={"Origin": origin, **cookie_of(client)}) as opened:
                opened.receive_text()
                opened.receive_text()
        assert ended.value.code == closed
    assert client.post("/task", headers={"Origin": "http://127.0.0.1:3000"}).status_code == 403


@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize("scope", [Filter(), Filter(service=("a",))])
def test_a_route_is_answered_by_role_and_refusals_are_recorded(client, tokens, recorded, role, scope):
    """Each route is open to exactly those of the table; whoever has no right to it is told, and recorded."""
    enter(client, a_token(tokens, "Eve", role, scope)[0])
    for path, action in (
        (ROUTES[0], Action.EXPORT_EVENTS), (ROUTES[1], Action.EXPORT_EVENTS), (ROUTES[2], Action.EXPORT_FIGURES),
        (ROUTES[3], Action.BUNDLE), (ROUTES[4], Action.REPORT),
    ):  # fmt: skip
        allowed = Person("Eve", role, scope).may(action)
        recorded.clear()
        # 503: there is no store here, which is asked for only behind the guard.
        assert client.get(path).status_code in ({400, 409, 503} if allowed else {403}), path
        assert [(each[0], each[2]["outcome"]) for each in recorded] == ([] if allowed else [("OPEN", "failure")])


def test_a_cookie_is_worth_nothing_after_signing_out_revoking_or_a_restart(client, tokens, sessions):
    """A replayed cookie opens nothing, neither pages nor routes nor a connection."""
    secret, made = a_token(tokens)
    for end in (sessions.sign_out, lambda _: tokens.revoke(made.id, NOW)):
        client.cookies.clear()
        value = enter(client, secret).headers["set-cookie"].split("=", 1)[1].split(";")[0]
        replayed = {"Cookie": f"otel_audit_session={value}"}
        client.cookies.clear()
        assert client.get("/task", headers=replayed).text == "Ada"
        end(value)
        assert client.get("/task", headers=replayed).status_code == 303
        assert client.get(ROUTES[0], headers=replayed).status_code == 401
        with pytest.raises(WebSocketDisconnect), client.websocket_connect("/_stcore/stream", headers=replayed):
            pass


def test_a_damaged_file_of_tokens_shuts_the_door(client, tokens):
    """When the tokens can not be read nobody is let in, and whoever asks is not told where they are."""
    enter(client, a_token(tokens)[0])
    tokens.path.write_text("{")
    for answer in (client.get("/task"), client.get("/sign-in"), enter(client, "x")):
        assert answer.status_code == 503
        assert str(tokens.path) not in answer.text
