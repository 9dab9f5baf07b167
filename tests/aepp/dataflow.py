"""Builds a dataflow from HubSpot with aepp, a client of Adobe Experience Platform, and takes it down again.

The first argument is the URL of the emulator. Each step that does not go as at Adobe ends the script with an error.
"""

import sys
import time

import aepp
import requests
from aepp import catalog, dataprep, flowservice, schema

PROFILE = "https://ns.adobe.com/xdm/context/profile"
HUBSPOT = {"id": "cc6a4487-9e91-433e-a3a3-9cf6626c1806", "version": "1.0"}
DATA_LAKE = {"id": "c604ff05-7f1a-43c0-8e18-33bf874cb11c", "version": "1.0"}
CRM_TO_AEP = "14518937-270c-4525-bdec-c2ba7cce3860"


def configure(url):
    aepp.configure(
        org_id="5C1328435BF324E90A49402A@AdobeOrg",
        client_id="demo-client",
        secret="demo-secret",
        scopes="openid,AdobeID",
        sandbox="prod",
        # Adds no repetition to the first attempt; with 0 there is none.
        retry=1,
    )
    # What differs from Adobe: the hosts.
    aepp.config.endpoints["global"] = url
    aepp.config.config_object["oauthTokenEndpointV2"] = f"{url}/ims/token/v3"


def create_schema(registry):
    """A field group and a schema with it. Returns the $id of both, and the namespace of custom fields."""
    namespace = "_" + registry.getTenantId()
    fields = registry.createFieldGroup(
        {
            "title": "HubSpot fields",
            "type": "object",
            "meta:intendedToExtend": [PROFILE],
            "definitions": {
                "customFields": {
                    "type": "object",
                    "properties": {
                        namespace: {"type": "object", "properties": {"Vid": {"type": "string", "title": "Vid"}}}
                    },
                }
            },
            "allOf": [{"$ref": "#/definitions/customFields", "type": "object", "meta:xdmType": "object"}],
        }
    )
    created = registry.createProfileSchema(
        name="HubSpot contacts", fieldGroupIds=[fields["$id"]], description="made by aepp"
    )
    assert [one["$id"] for one in registry.getSchemas()] == [created["$id"]]
    assert [one["title"] for one in registry.getFieldGroups()] == ["HubSpot fields"]
    full = registry.getSchema(created["$id"])
    assert full["properties"]["_id"]["type"] == "string", full
    assert full["properties"][namespace]["properties"]["Vid"]["title"] == "Vid", full
    assert registry.getSchema(created["meta:altId"])["$id"] == created["$id"]
    assert registry.getFieldGroup(fields["$id"])["title"] == "HubSpot fields"
    taken = registry.createProfileSchema(name="HubSpot contacts", fieldGroupIds=[fields["$id"]])
    assert created["$id"] in taken["detail"], taken
    return created["$id"], fields["$id"], namespace


def create_dataset(datasets, schema_id):
    created = datasets.createDataSet(
        name="HubSpot contacts", schemaId=schema_id, tags={"hcsRequestId": ["aepp"]}
    )
    dataset = created[0].split("/")[-1]
    assert datasets.getDataSet(dataset)[dataset]["schemaRef"]["id"] == schema_id
    assert list(datasets.getDataSets(tags="hcsRequestId:aepp")) == [dataset]
    assert datasets.getDataSets(tags="hcsRequestId:other") == {}
    return dataset


def create_mapping_set(data_prep, schema_id, namespace):
    mappings = [
        {"sourceType": "ATTRIBUTE", "source": "Vid", "destination": "_id"},
        {"sourceType": "ATTRIBUTE", "source": "Vid", "destination": f"{namespace}.Vid"},
    ]
    created = data_prep.createMappingSet(schemaId=schema_id, mappingList=mappings, validate=True)
    mapping_set = data_prep.getMappingSet(created["id"])
    assert [one["destination"] for one in mapping_set["mappings"]] == ["_id", f"{namespace}.Vid"]
    updated = data_prep.updateMappingSet(created["id"], mapping_set["mappings"])
    assert (created["version"], updated.get("version")) == (0, 1), updated
    assert [one["id"] for one in data_prep.getMappingSets()] == [created["id"]]
    wrong = [{"sourceType": "ATTRIBUTE", "source": "Vid", "destination": "nowhere"}]
    refused = data_prep.createMappingSet(schemaId=schema_id, mappingList=wrong, validate=True)
    assert "nowhere" in refused["detail"], refused
    return created["id"], updated["version"]


def create_flow(flows, dataset, schema_id, mapping_set, version):
    """A base connection, a source and a target connection, and a flow. Returns their ids."""
    connection = flows.createConnection(
        name="HubSpot",
        auth={
            "specName": "Basic Authentication",
            "params": {"clientId": "a", "clientSecret": "b", "accessToken": "c", "refreshToken": "d"},
        },
        connectionSpec=HUBSPOT,
    )
    source = flows.createSourceConnection(
        {
            "name": "Contacts",
            "baseConnectionId": connection["id"],
            "data": {"format": "tabular"},
            "params": {"path": "Hubspot.Contacts", "tableName": "Hubspot.Contacts"},
            "connectionSpec": HUBSPOT,
        }
    )
    target = flows.createTargetConnection(
        data={
            "name": "HubSpot contacts",
            "data": {
                "schema": {"id": schema_id, "version": "application/vnd.adobe.xed-full+json;version=1"}
            },
            "params": {"dataSetId": dataset},
            "connectionSpec": DATA_LAKE,
        }
    )
    flow = flows.createFlow(
        flow_spec_id=CRM_TO_AEP,
        obj={
            "name": "HubSpot contacts",
            "flowSpec": {"id": CRM_TO_AEP, "version": "1.0"},
            "sourceConnectionIds": [source["id"]],
            "targetConnectionIds": [target["id"]],
            "transformations": [
                {"name": "Mapping", "params": {"mappingId": mapping_set, "mappingVersion": version}}
            ],
            "scheduleParams": {"startTime": int(time.time()) + 3600, "frequency": "once"},
        }
    )
    return connection["id"], source["id"], target["id"], flow["id"]


def check_flow(url, flows, datasets, dataset, mapping_set, source, flow):
    """Reads the flow back, and its run, which brings a batch into the dataset."""
    assert [one["id"] for one in flows.getFlows(onlySources=True)] == [flow]
    assert [one["id"] for one in flows.getFlows(filterMappingSetIds=[mapping_set])] == [flow]
    assert [one["id"] for one in flows.getSourceConnections()] == [source]
    # The run that the schedule would make an hour later.
    requests.post(f"{url}/emulator/runs", json=[{"flow": flow, "outcome": "succeeded"}]).raise_for_status()
    runs = flows.getRuns(prop=f"flowId=={flow}")
    assert runs[0]["metrics"]["statusSummary"]["status"] == "success", runs
    (batch,) = datasets.getBatches(dataSet=dataset)
    assert datasets.getDataSet(dataset)[dataset]["lastBatchId"] == batch


def main(url):
    configure(url)
    registry, datasets, data_prep = schema.Schema(), catalog.Catalog(), dataprep.DataPrep()
    flows = flowservice.FlowService()
    schema_id, field_group, namespace = create_schema(registry)
    dataset = create_dataset(datasets, schema_id)
    mapping_set, version = create_mapping_set(data_prep, schema_id, namespace)
    connection, source, target, flow = create_flow(flows, dataset, schema_id, mapping_set, version)
    check_flow(url, flows, datasets, dataset, mapping_set, source, flow)
    ledger = requests.get(f"{url}/emulator/ledger").json()
    assert set(ledger.values()) == {1}, ledger

    assert "detail" in registry.deleteSchema(schema_id)
    flows.postFlowAction(flow, "disable")
    assert flows.getFlow(flow)["state"] == "disabled"
    for deleted, status in [
        (flows.deleteFlow(flow), 204),
        (flows.deleteSourceConnection(source), 204),
        (flows.deleteTargetConnection(target), 204),
        (flows.deleteConnection(connection), 204),
        (data_prep.deleteMappingSet(mapping_set), 204),
        (datasets.deleteDataSet(dataset), 200),
        (registry.deleteSchema(schema_id), 204),
        (registry.deleteFieldGroup(field_group), 204),
    ]:
        assert deleted == status, deleted


main(sys.argv[1])
