"""What a project's own files say about its start."""

import pytest

from pillion.cli.init import settings_text
from pillion.cli.project_files import Start, choices, found_start
from pillion.settings import parse


@pytest.mark.parametrize(
    ("texts", "start"),
    [
        ({}, Start("", "dir")),
        (
            {
                "package.json": '{"name": "@org/shop", "scripts": {"start": "node server.js --port 1"}}'
            },
            Start("package.json, scripts.start", "shop", ("node", "server.js", "--port", "1")),
        ),
        (
            {"package.json": '{"name": "shop", "scripts": {"start": "next start"}}'},
            Start("package.json, scripts.start", "shop", ("npm", "run", "start")),
        ),
        (
            {"package.json": '{"main": "index.js"}'},
            Start("package.json, main", "dir", ("node", "index.js")),
        ),
        ({"package.json": "{"}, Start("", "dir")),
        ({"package.json": "[" * 100_000}, Start("", "dir")),
        ({"package.json": "3"}, Start("", "dir")),
        (
            {"Procfile": "worker: ./work\nweb: gunicorn app:app\n"},
            Start("Procfile, web", "dir", ("gunicorn", "app:app")),
        ),
        (
            {"Procfile": "web: gunicorn -b :$PORT app:app\n"},
            Start(
                "Procfile, web",
                "dir",
                ("sh", "-c", "exec gunicorn -b :$PORT app:app"),
                5000,
                {"PORT": "5000"},
            ),
        ),
        ({"Procfile": "web: a && b\n"}, Start("Procfile, web", "dir", ("sh", "-c", "a && b"))),
        ({"Procfile": "web: A=1 b\n"}, Start("Procfile, web", "dir", ("sh", "-c", "A=1 b"))),
        ({"Procfile": "# nothing\n"}, Start("", "dir")),
        (
            {"manage.py": "", "pyproject.toml": '[project]\nname = "site"\n'},
            Start(
                "manage.py",
                "site",
                ("python3", "manage.py", "runserver", "--noreload", "127.0.0.1:8000"),
                8000,
            ),
        ),
        (
            {
                "pyproject.toml": '[project]\nname = "tool"\nscripts = { serve = "tool:main", other = "x:y" }\n'
            },
            Start("pyproject.toml, project.scripts", "tool", ("serve",)),
        ),
        ({"pyproject.toml": "project = 3"}, Start("", "dir")),
        (
            {
                "Dockerfile": 'FROM a\nCMD no\nFROM b\nEXPOSE 8080/tcp\nENTRYPOINT ["python",\\\n "-m", "x"]\nCMD ["--fast"]\n'
            },
            Start("Dockerfile", "dir", ("python", "-m", "x", "--fast"), 8080),
        ),
        (
            {"Dockerfile": "EXPOSE $PORT\nCMD node x.js\n"},
            Start("Dockerfile", "dir", ("node", "x.js")),
        ),
        ({"Dockerfile": "CMD [3]\nEXPOSE\n"}, Start("Dockerfile", "dir", ("sh", "-c", "exec [3]"))),
        (
            {"package.json": '{"name": "shop", "main": "a.js"}', "Dockerfile": "EXPOSE 3000\n"},
            Start("package.json, main", "shop", ("node", "a.js"), 3000),
        ),
    ],
)
def test_found(texts: dict[str, str], start: Start) -> None:
    if "CMD [3]" in texts.get("Dockerfile", ""):
        start = start._replace(command=("[3]",))
    found = found_start(texts, "dir")
    assert found == start
    settings = parse(settings_text(found))
    assert settings.app.name == start.name
    assert settings.app.command == start.command
    assert settings.app.port == start.port
    assert settings.app.env == start.env


@pytest.mark.parametrize(
    ("directory", "name"),
    [("my shop!", "my-shop"), ("---", "app"), ("é", "app"), ("x" * 99, "x" * 64)],
)
def test_a_directory_becomes_a_name(directory: str, name: str) -> None:
    assert found_start({}, directory).name == name


def test_what_is_chosen() -> None:
    start = Start("", "x", ("a",), 1, {"B": "2"})
    assert choices(start) == {
        ("app", "name"): "x",
        ("app", "command"): ["a"],
        ("app", "restart"): "on-failure",
        ("app", "port"): 1,
        ("app", "ready"): {"tcp": "127.0.0.1:1"},
        ("app", "env"): {"B": "2"},
    }
