"""What surrounds the image: services, scraping, and a dashboard that asks for what there is."""

import json
import re
from typing import Any

import pytest
import yaml
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from server.app.application import create_app
from server.app.metrics import Metrics
from server.cli import unknown_variables
from server.settings import Settings
from tests.docker.recipe import ROOT

DOCKER = ROOT / "docker"
DASHBOARD = json.loads((DOCKER / "grafana" / "dashboards" / "earshot.json").read_text())
QUERIES = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]
METRIC = re.compile(r"\b(?:earshot|process|python)_[a-z0-9_]+")


def read(path: str) -> Any:
    return yaml.safe_load((DOCKER / path).read_text())


@pytest.fixture
def exposed(monkeypatch: pytest.MonkeyPatch) -> dict[str, set[str]]:
    """Every sample that `/metrics` of a new server shows, and its labels; histograms are empty but there."""
    made: list[Metrics] = []

    class Kept(Metrics):
        def __init__(self) -> None:
            super().__init__()
            made.append(self)

    monkeypatch.setattr("server.app.application.Metrics", Kept)
    create_app(Settings())
    text = generate_latest(made[0].registry).decode()
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    return {sample.name: set(sample.labels) for sample in samples}


@pytest.mark.parametrize("query", QUERIES)
def test_the_dashboard_asks_for_metrics_that_there_are(query: str, exposed: dict[str, set[str]]) -> None:
    named = set(METRIC.findall(query))
    assert named
    assert named <= set(exposed)
    for labels in re.findall(r"by \(([a-z_, ]+)\)", query):
        assert all(set(labels.split(", ")) <= exposed[name] for name in named)


def test_the_dashboard_shows_every_metric_of_ours(exposed: dict[str, set[str]]) -> None:
    shown = {name for query in QUERIES for name in METRIC.findall(query)}
    ours = {re.sub(r"_(bucket|sum|count|created)$", "", name) for name in exposed if name.startswith("earshot_")}
    assert ours <= {re.sub(r"_(bucket|sum|count)$", "", name) for name in shown} | {
        name.removesuffix("_total") for name in shown
    }


def test_panels_do_not_overlap() -> None:
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in DASHBOARD["panels"]]
    assert len(set(places)) == len({panel["id"] for panel in DASHBOARD["panels"]}) == len(places)
    assert all(panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24 for panel in DASHBOARD["panels"])


def test_the_dashboard_reads_the_data_source_that_is_provisioned() -> None:
    (source,) = read("grafana/provisioning/datasources/prometheus.yaml")["datasources"]
    assert {panel["datasource"]["uid"] for panel in DASHBOARD["panels"]} == {source["uid"]}
    assert source["url"] == "http://prometheus:9090"
    (provider,) = read("grafana/provisioning/dashboards/earshot.yaml")["providers"]
    assert (
        f"./grafana/dashboards:{provider['options']['path']}:ro"
        in read("compose.yaml")["services"]["grafana"]["volumes"]
    )


def test_prometheus_scrapes_the_service() -> None:
    (job,) = read("prometheus.yml")["scrape_configs"]
    assert job["static_configs"] == [{"targets": [f"earshot:{Settings.port}"]}]
    assert "metrics_path" not in job  # the default is ours
    assert all('job="earshot"' in query for query in QUERIES if "process_" in query)
    assert job["job_name"] == "earshot"


@pytest.mark.parametrize("file", ["compose.yaml", "compose.gpu.yaml"])
def test_services(file: str) -> None:
    for service in read(file)["services"].values():
        if "build" in service:
            assert (ROOT / service["build"]["dockerfile"]).is_file()
        else:
            assert re.fullmatch(r"[a-z]+/[a-z]+:v?\d+\.\d+\.\d+", service["image"])
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert source in read(file).get("volumes", {}) or (DOCKER / source).exists()
        for port in service.get("ports", []):
            assert port.startswith("127.0.0.1:")
        ours = {name: value for name, value in service.get("environment", {}).items() if name.startswith("EARSHOT_")}
        assert unknown_variables(ours) == []


def test_sessions_may_finish_when_the_service_is_stopped() -> None:
    grace = read("compose.yaml")["services"]["earshot"]["stop_grace_period"]
    assert int(grace.removesuffix("s")) > Settings.drain_s + 5
