from detectron2.data import DatasetCatalog, MetadataCatalog

from hdetr_d2.data.registry import names_as_before


def test_what_is_registered_within_is_forgotten_and_the_rest_is_kept() -> None:
    def mine() -> list:
        return [1]

    DatasetCatalog.register("kept by the registry", mine)
    MetadataCatalog.get("kept by the registry").set(thing_classes=["cat"])
    try:
        with names_as_before(free="kept by the registry"):
            assert "kept by the registry" not in DatasetCatalog.list()
            DatasetCatalog.register("kept by the registry", lambda: [2])
            DatasetCatalog.register("within", lambda: [3])
            MetadataCatalog.get("kept by the registry").set(thing_classes=["dog"])
        assert "within" not in DatasetCatalog.list()
        assert DatasetCatalog.get("kept by the registry") == [1]
        assert MetadataCatalog.get("kept by the registry").thing_classes == ["cat"]
    finally:
        DatasetCatalog.remove("kept by the registry")
        MetadataCatalog.remove("kept by the registry")
