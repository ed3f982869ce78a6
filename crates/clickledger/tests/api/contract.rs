//! The committed documents against the running program: OpenAPI, metrics.

use crate::world::World;
use clickledger::http::api::access::AccessRule;
use clickledger::http::metrics;
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};

fn docs(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(name)
}

fn openapi() -> Value {
    let text = std::fs::read_to_string(docs("openapi.json")).expect("docs/openapi.json");
    serde_json::from_str(&text).expect("JSON")
}

fn object(value: &Value) -> &Map<String, Value> {
    value.as_object().unwrap_or_else(|| panic!("no object: {value}"))
}

/// Follows a `$ref`.
fn resolve<'a>(document: &'a Value, schema: &'a Value) -> &'a Value {
    match schema["$ref"].as_str() {
        Some(path) => document.pointer(path.trim_start_matches('#')).expect("a reference"),
        None => schema,
    }
}

/// Checks what we use of JSON Schema: types, properties, required ones, items, enums.
fn conforms(document: &Value, schema: &Value, value: &Value, at: &str) {
    let schema = resolve(document, schema);
    let one = &schema["type"];
    let kinds = one.as_array().cloned().unwrap_or_else(|| vec![one.clone()]);
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    assert!(kinds.contains(&kind.into()), "{at}: {value} is no {kinds:?}");
    if let Some(choices) = schema["enum"].as_array() {
        assert!(choices.contains(value), "{at}: {value}");
    }
    for (index, item) in value.as_array().into_iter().flatten().enumerate() {
        conforms(document, &schema["items"], item, &format!("{at}[{index}]"));
    }
    let Some(fields) = value.as_object() else { return };
    for name in schema["required"].as_array().into_iter().flatten() {
        assert!(fields.contains_key(name.as_str().expect("a name")), "{at} lacks {name}");
    }
    for (name, field) in fields {
        let known = schema["properties"].get(name).or_else(|| schema.get("additionalProperties"));
        match known {
            Some(known) => conforms(document, known, field, &format!("{at}.{name}")),
            None => assert!(schema["properties"].is_null(), "{at}.{name} is not documented"),
        }
    }
}

/// The path with its parameters' examples: all of them at once, and each one alone.
fn examples(path: &str, parameters: &[Value]) -> Vec<String> {
    let example = |parameter: &Value| parameter["example"].as_str().map(String::from);
    let mut path = path.to_string();
    let mut pairs = Vec::new();
    for parameter in parameters {
        let name = parameter["name"].as_str().expect("a name");
        let value = example(parameter).unwrap_or_else(|| panic!("{path} {name} has no example"));
        match parameter["in"].as_str() {
            Some("path") => path = path.replace(&format!("{{{name}}}"), &value),
            _ => pairs.push(format!("{name}={value}")),
        }
    }
    let alone = pairs.iter().filter(|pair| !pair.starts_with("from="));
    let mut all: Vec<String> = alone.map(|pair| format!("{path}?{pair}")).collect();
    all.push(format!("{path}?{}", pairs.join("&")));
    all.push(path);
    all
}

#[test]
fn every_documented_path_and_parameter_works_and_answers_as_documented() {
    let world = World::new(AccessRule::Loopback);
    world.click("c1", "u1", "ad-1");
    world.wait_for("/v1/totals", |answer| answer["totals"][0]["classes"]["V"] == 1);
    let document = openapi();
    for (path, item) in object(&document["paths"]) {
        let operation = &item["get"];
        let parameters = operation["parameters"].as_array().expect("parameters");
        for url in examples(path, parameters) {
            if path == "/v1/stream" {
                world.stream(url.trim_start_matches("/v1/stream")).next();
                continue;
            }
            let answer = world.get(&url);
            assert_eq!(answer.status, 200, "{url}: {answer:?}");
            let content = object(&operation["responses"]["200"]["content"]);
            let (kind, body) = content.iter().next().expect("a content type");
            assert!(answer.head.contains(&format!("content-type: {kind}")), "{url}");
            if kind == "application/json" {
                conforms(&document, &body["schema"], &answer.json(), &url);
            }
        }
        if !parameters.is_empty() {
            let url = path.replace("{ad}", "ad-1") + "?undocumented=1";
            let answer = world.get(&url);
            assert_eq!(answer.status, 400, "{url}");
            let error = resolve(&document, &operation["responses"]["400"]);
            let schema = &error["content"]["application/json"]["schema"];
            conforms(&document, schema, &answer.json(), &url);
            let known = answer.json()["error"]["message"].as_str().map(String::from);
            let known = known.expect("a message");
            let known = known.split("known: ").nth(1).expect("a list").split(", ");
            for name in known {
                let documented = parameters.iter().any(|parameter| parameter["name"] == name);
                assert!(documented, "{path}: {name} is not documented");
            }
        }
    }
    assert_eq!(world.get("/v1/openapi.json").json(), document);
}

#[test]
fn stream_rows_are_as_documented() {
    let world = World::new(AccessRule::Loopback);
    let mut events = world.stream("");
    world.click("c1", "u1", "ad-1");
    let document = openapi();
    let data = events.rows();
    for row in data["rows"].as_array().expect("rows") {
        let mut row = row.clone();
        let fields = row.as_object_mut().expect("an object");
        let change = fields.remove("change");
        let name = if fields["view"] == "ad" { "AdRow" } else { "PublisherRow" };
        assert_eq!(change.is_some(), name == "AdRow");
        conforms(&document, &document["components"]["schemas"][name], &row, name);
    }
}

#[test]
fn the_list_of_metrics_is_current() {
    let path = docs("metrics.md");
    let made = metrics::document();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &made).expect("docs/metrics.md written");
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(kept, made, "run this test with UPDATE_DOCS=1 and commit docs/metrics.md");
}

#[test]
fn metrics_are_prometheus_text_of_documented_metrics() {
    let world = World::new(AccessRule::Loopback);
    world.click("c1", "u1", "ad-1");
    world.click("c1", "u1", "ad-1");
    world.wait_for("/v1/status", |status| status["engine"]["classes"]["D1"] == 1);
    let text = world.get("/metrics").body;
    for line in [
        "clickledger_clicks_measured_total 2",
        "clickledger_clicks_total{class=\"V\"} 1",
        "clickledger_clicks_total{class=\"D1\"} 1",
        "clickledger_clicks_acknowledged_total{how=\"redirect\"} 2",
        "clickledger_durable_seconds_count 2",
        "# TYPE clickledger_durable_seconds histogram",
        "clickledger_stream_clients 0",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
    }
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let name = line.split(['{', ' ']).next().expect("a name");
        let known = metrics::ALL.iter().any(|metric| {
            name == metric.name
                || name
                    .strip_prefix(metric.name)
                    .is_some_and(|end| matches!(end, "_bucket" | "_sum" | "_count"))
        });
        assert!(known, "{line}");
    }
}
