"""JupyterLab in a browser: notebooks are opened and run to their figures, as a reader would do it."""

import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request

import pytest

pytest.importorskip("playwright")
from chromium import ROOT, browser, opened, shot

pytestmark = pytest.mark.browser
MINUTES = 4
FIGURES = {"00_method": "img", "10_headline": "img", "31_explore": "iframe"}


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """The address of a JupyterLab on a copy of the notebooks, whose figures are written elsewhere."""
    top = tmp_path_factory.mktemp("lab")
    (top / "lib").symlink_to(ROOT / "lib")
    shutil.copytree(ROOT / "notebooks", top / "notebooks")
    (top / "figures").mkdir()
    (top / "figures" / "data").symlink_to(ROOT / "figures" / "data")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environment = os.environ | {
        "COUPLING_FIGURES": str(top / "figures"),
        "COUPLING_RESULTS": str(top / "results"),
    }
    # Cells out of sight are kept on the page, so that a figure at the top is found behind the last cell.
    tracker = top / "settings" / "@jupyterlab" / "notebook-extension" / "tracker.jupyterlab-settings"
    tracker.parent.mkdir(parents=True)
    tracker.write_text('{"windowingMode": "none"}')
    environment |= {"JUPYTERLAB_SETTINGS_DIR": str(top / "settings")}
    environment |= {"JUPYTER_CONFIG_DIR": str(top / "config"), "JUPYTER_DATA_DIR": str(top / "share")}
    command = [sys.executable, "-m", "jupyter", "lab", "--no-browser", "--allow-root", f"--port={port}"]
    command += [
        "--IdentityProvider.token=",
        "--ServerApp.ip=127.0.0.1",
        f"--notebook-dir={top / 'notebooks'}",
    ]
    log = (top / "log").open("w")
    server = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
    address = f"http://127.0.0.1:{port}"
    for _ in range(120):
        try:
            urllib.request.urlopen(f"{address}/api").close()
            break
        except OSError:
            assert server.poll() is None, (top / "log").read_text()[-2000:]
            time.sleep(0.5)
    yield address
    server.terminate()
    server.wait(30)
    log.close()


@pytest.mark.parametrize("notebook", FIGURES)
def test_a_notebook_is_opened_and_run_to_its_figure(lab, notebook):
    with browser() as chromium, opened(chromium) as (page, _):
        page.goto(f"{lab}/lab/tree/{notebook}.ipynb?reset")
        page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=MINUTES * 60_000)
        # The indicator beside the kernel's name says idle before there is a kernel; the status bar does not.
        page.get_by_text(re.compile(r"ipykernel\) \| Idle$")).wait_for(timeout=MINUTES * 60_000)
        page.get_by_role("menuitem", name=re.compile("^Run$")).first.click()
        page.get_by_role("menuitem", name=re.compile("^Run All Cells")).first.click()
        figure = page.locator(f".jp-OutputArea-output {FIGURES[notebook]}").first
        figure.wait_for(state="attached", timeout=MINUTES * 60_000)
        figure.scroll_into_view_if_needed()
        assert page.locator(".jp-OutputArea-output[data-mime-type*=error]").count() == 0
        if FIGURES[notebook] == "img":
            assert figure.evaluate("image => image.decode().then(() => image.naturalWidth)") > 300
        else:
            inside = page.frame_locator(".jp-OutputArea-output iframe")
            inside.locator("#items-explorer .item").wait_for(timeout=60_000)
            inside.locator("[data-name=filter]").select_option(index=1)
            assert inside.locator("#items-explorer .item").count() == 1
        shot(page, f"lab-{notebook}")
