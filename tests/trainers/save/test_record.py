from pathlib import Path

from actstore import open_manifest
from trainers.save.record import SiteRecord, describe_origin, differences


def test_the_origin_of_rows_tells_store_model_and_sites(store: Path) -> None:
    manifest = open_manifest(store)
    origin = describe_origin(manifest, ["resid_post.3"])
    assert origin.manifest_sha256 == manifest.digest
    assert origin.weights_sha256 == manifest.model.weights_sha256
    assert (origin.encoding, origin.model_dtype) == ("float16", "float32")
    assert origin.sites == (SiteRecord(name="resid_post.3", module="encoder.layer.3", width=128),)


def test_differences_name_field_and_both_values(store: Path) -> None:
    manifest = open_manifest(store)
    here, there = (describe_origin(manifest, [site]) for site in ("resid_post.0", "resid_post.3"))
    (difference,) = differences(here, there)
    assert difference.startswith("sites: [{'name': 'resid_post.0'")
    assert not list(differences(here, here))
