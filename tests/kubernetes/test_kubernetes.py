"""The profile for Kubernetes without a cluster: its jobs are rendered, and their commands are run here."""

import os
import shutil
import subprocess
import threading
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml
from api_server import Api, without_pip
from own_sweeps import own_sweep

ROOT = Path(__file__).parents[2]
PROFILE = ROOT / "env/kubernetes/config.yaml"
NEEDED = ("snakemake_executor_plugin_kubernetes", "snakemake_storage_plugin_fs", "kubernetes")


@pytest.mark.skipif(
    not all(map(find_spec, NEEDED)) or not shutil.which("rsync"),
    reason="needs env/kubernetes/requirements.txt and rsync",
)
def test_a_sweep_is_run_by_the_commands_of_its_pods(tmp_path):
    shared = tmp_path / "shared"
    shared.mkdir()
    profile = tmp_path / "profile" / "config.yaml"
    profile.parent.mkdir()
    profile.write_text(PROFILE.read_text().replace("/shared", str(shared)))
    sweep = own_sweep(shared)
    folders = {"COUPLING_RESULTS": str(shared / "results"), "COUPLING_CACHE": str(shared / "cache")}
    api = Api(tmp_path, without_pip(tmp_path))
    threading.Thread(target=api.serve_forever, daemon=True).start()
    environment = os.environ | folders | {"KUBECONFIG": str(api.config())}
    command = ["snakemake", "--snakefile", "notebooks/Snakefile", "--profile", str(profile.parent)]
    command += ["--seconds-between-status-checks", "1", "--latency-wait", "1", "--resources", "gpu=2"]
    command += ["--config", "profile=tiny", f"sweep={sweep}", "gpus=2"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    api.shutdown()
    assert done.returncode == 0, "\n".join([done.stdout[-2000:], done.stderr[-4000:], *api.logs])[-8000:]
    assert len(list(shared.glob("results/tiny/hint_qa-*/manifest.json"))) == 2

    asked = yaml.safe_load(profile.read_text())
    claim, path = asked["kubernetes-persistent-volumes"][0].split(":")
    for spec in api.specs:
        pod = spec["spec"]["template"]["spec"]
        container = pod["containers"][0]
        assert container["image"] == asked["container-image"]
        assert {"mountPath": path, "name": claim} in container["volumeMounts"]
        assert {"name": claim, "persistentVolumeClaim": {"claimName": claim}} in pod["volumes"]
        assert {variable["name"] for variable in container["env"]} >= folders.keys()
        assert container["resources"]["requests"]["ephemeral-storage"] == "2000M"
        assert container["resources"]["limits"]["memory"] == container["resources"]["requests"]["memory"]
        assert "privileged" not in str(spec)
    gpus = [
        s["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"].get("nvidia.com/gpu")
        for s in api.specs
    ]
    assert sorted(gpus, key=str) == ["1", "1", None, None, None]  # base and runs; method, tables, figure
