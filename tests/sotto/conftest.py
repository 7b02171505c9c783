"""A real Chromium for the pages, where one is installed; nothing is ever downloaded."""

from __future__ import annotations

import os
import shutil

import pytest

_CHROMIUM = "/usr/bin/chromium"
_PATIENCE = 240_000  # milliseconds for a browser to start and for a page to show something, on a busy machine
_QUIET = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
]


@pytest.fixture(scope="session")
def chromium():
    """Starts a browser; ``chromium(*more)`` with further switches."""
    playwright = pytest.importorskip("playwright.sync_api")
    path = os.environ.get("SOTTO_CHROMIUM") or _CHROMIUM
    if not shutil.which(path):
        pytest.skip(f"no Chromium at {path}: install it, or name another in SOTTO_CHROMIUM")
    with playwright.sync_playwright() as driver:
        browsers = []

        def start(*more):
            browsers.append(driver.chromium.launch(executable_path=path, args=[*_QUIET, *more], timeout=_PATIENCE))
            return browsers[-1]

        yield start
        for browser in browsers:
            browser.close()


@pytest.fixture
def watch():
    """Collects what goes wrong on a page: errors of its script, of the console, requests that leave it."""

    def attach(page, allowed="file:"):
        found = []
        page.set_default_timeout(_PATIENCE)
        page.on("pageerror", lambda error: found.append(f"error: {error}"))
        page.on("console", lambda line: line.type in ("error", "warning") and found.append(f"{line.type}: {line.text}"))
        page.on(
            "request",
            lambda request: (
                request.url.startswith((allowed, "data:", "blob:")) or found.append(f"asked for {request.url}")
            ),
        )
        return found

    return attach
