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
from conftest import SMALL
from coupling.runs import folders as folders_of_runs
from coupling.runs import graph, jobs
from coupling.spec import make_spec
from own_sweeps import own_sweep

ROOT = Path(__file__).parents[2]
PROFILE = ROOT / "env/kubernetes/config.yaml"
NEEDED = ("snakemake_executor_plugin_kubernetes", "snakemake_storage_plugin_fs", "kubernetes")


@pytest.mark.skipif(
    not all(map(find_spec, NEEDED)) or not shutil.which("rsync"),
    reason="needs env/kubernetes/requirements.txt and rsync",
)
def test_a_job_asks_for_what_it_needs_and_its_command_makes_the_result(tmp_path):
    shared = tmp_path / "shared"
    profile = tmp_path / "profile" / "config.yaml"
    profile.parent.mkdir()
    profile.write_text(PROFILE.read_text().replace("/shared", str(shared)))
    asked = yaml.safe_load(profile.read_text())
    seen = Path(
        asked["default-storage-prefix"] + str(shared)
    )  # the store's view of the volume, as the howto says
    seen.parent.mkdir(parents=True)
    seen.symlink_to(shared)
    sweep = own_sweep(shared)
    folders = {"COUPLING_RESULTS": str(shared / "results"), "COUPLING_CACHE": str(shared / "cache")}

    api = Api(tmp_path, without_pip(tmp_path))
    threading.Thread(target=api.serve_forever, daemon=True).start()
    environment = os.environ | folders | {"KUBECONFIG": str(api.config())}
    base = graph.base(make_spec("tiny", **SMALL))
    job = jobs.jobs([base])[0].name
    command = ["snakemake", job, "--snakefile", "notebooks/Snakefile", "--profile", str(profile.parent)]
    command += ["--seconds-between-status-checks", "1", "--latency-wait", "1", "--resources", "gpu=2"]
    command += ["--config", "profile=tiny", f"sweep={sweep}", "gpus=2"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    api.shutdown()
    said = "\n".join([done.stdout[-2000:], done.stderr[-4000:], *api.logs])[-8000:]
    assert done.returncode == 0, said
    [result] = shared.glob(f"results/tiny/{base.folder.name}")
    assert folders_of_runs.complete(result)

    [spec] = api.specs
    pod = spec["spec"]["template"]["spec"]
    container = pod["containers"][0]
    claim, path = asked["kubernetes-persistent-volumes"][0].split(":")
    assert container["image"] == asked["container-image"]
    assert {"mountPath": path, "name": claim} in container["volumeMounts"]
    assert {"name": claim, "persistentVolumeClaim": {"claimName": claim}} in pod["volumes"]
    assert {variable["name"] for variable in container["env"]} >= folders.keys()
    wanted = {"memory": "4000M", "ephemeral-storage": "2000M", "nvidia.com/gpu": "1"}
    assert wanted.items() <= container["resources"]["requests"].items()
    assert wanted.items() <= container["resources"]["limits"].items()
    assert "privileged" not in str(spec)
