//! The OpenAPI 3.1 document, made from the table of operations.

use cabildo_storage::Right;
use serde_json::Value;
use utoipa::openapi::path::{OperationBuilder, Parameter, ParameterBuilder, ParameterIn, PathItem};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{
    ComponentsBuilder, ContentBuilder, HttpMethod, InfoBuilder, LicenseBuilder, OpenApiBuilder, PathsBuilder, Ref,
    RefOr, Required, ResponseBuilder, ResponsesBuilder, Schema,
};

use crate::table::{OPERATIONS, Operation, READYZ};

/// Schemas of bodies and parameters, by name: JSON Schema, kept beside this file.
const SCHEMAS: &str = include_str!("openapi.json");

/// Statuses that any operation may answer with.
const ANYWHERE: [u16; 5] = [400, 401, 421, 422, 503];
/// Status of a wish for what was changed meanwhile.
const CHANGED: u16 = 412;
/// Statuses of operations that take a body.
const WITH_BODY: [u16; 4] = [403, 408, 413, 415];

/// How tokens are shown, by its name in the document.
const BEARER: &str = "bearer";

/// The document as JSON.
pub(crate) fn document() -> String {
    let schemas: Value = serde_json::from_str(SCHEMAS).unwrap_or_default();
    let schema = |kind: &str, name: &str| -> Option<RefOr<Schema>> {
        serde_json::from_value(schemas.get(kind)?.get(name)?.clone()).ok()
    };
    let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").build();
    let mut components = ComponentsBuilder::new().security_scheme(BEARER, SecurityScheme::Http(bearer));
    for name in schemas["schemas"].as_object().into_iter().flat_map(|schemas| schemas.keys()) {
        if let Some(schema) = schema("schemas", name) {
            components = components.schema(name, schema);
        }
    }
    let parameter = |name: &str, place: ParameterIn| parameter(name, place, schema("parameters", name));
    let mut paths = PathsBuilder::new();
    for operation in OPERATIONS {
        paths = paths.path(operation.route, PathItem::new(method(operation.method), described(operation, &parameter)));
    }
    let info = InfoBuilder::new()
        .title("Cabildo")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some("Rooms, polls, task lists and the record of events. Errors are RFC 9457 problem documents."))
        .license(Some(LicenseBuilder::new().name("Apache-2.0").identifier(Some("Apache-2.0")).build()));
    let document = OpenApiBuilder::new().info(info).paths(paths).components(Some(components.build())).build();
    document.to_json().unwrap_or_default()
}

fn described(operation: &Operation, parameter: &impl Fn(&str, ParameterIn) -> Parameter) -> OperationBuilder {
    let mut described = OperationBuilder::new()
        .operation_id(Some(operation.id))
        .summary(Some(operation.summary))
        .description(Some(format!("For: {}", operation.right.name())))
        .tag(operation.route.split('/').nth(3).filter(|area| !area.contains('.')).unwrap_or("operation"));
    let segments = operation.route.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    for name in segments {
        described = described.parameter(parameter(name, ParameterIn::Path));
    }
    for name in operation.query {
        described = described.parameter(parameter(name, ParameterIn::Query));
    }
    for name in operation.headers {
        described = described.parameter(parameter(name, ParameterIn::Header));
    }
    if let Some(body) = operation.body {
        let content = ContentBuilder::new().schema(Some(Ref::from_schema_name(body))).build();
        let body = RequestBodyBuilder::new().required(Some(Required::True)).content("application/json", content);
        described = described.request_body(Some(body.build()));
    }
    if operation.right > Right::Guest {
        described = described.security(SecurityRequirement::new::<_, [&str; 0], &str>(BEARER, []));
    }
    described.responses(responses(operation))
}

fn responses(operation: &Operation) -> ResponsesBuilder {
    let done = success(operation).description("Done");
    let mut responses = ResponsesBuilder::new().response(operation.success.status.to_string(), done);
    let with_body = operation.body.map_or(&[][..], |_| &WITH_BODY);
    let api = if operation.route.starts_with("/api/v1") { &ANYWHERE[..] } else { &[401, 421] };
    let denied: &[u16] = if operation.right > Right::Oneself { &[403] } else { &[] };
    for status in api.iter().chain(with_body).chain(denied).chain(operation.problems) {
        let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
        let mut problem = ResponseBuilder::new().description("See `type`").content("application/problem+json", content);
        if *status == CHANGED {
            let now = ContentBuilder::new().schema(Some(Ref::from_schema_name(thing(operation.route)))).build();
            problem = problem.description("What there is now; if there is nothing any more, see `type`");
            problem = problem.content("application/json", now);
        }
        responses = responses.response(status.to_string(), problem);
    }
    if operation.route == READYZ {
        // Not ready is an answer like ready: the same body says why.
        let unready = success(operation).description("Not now: the body says why");
        responses = responses.response("503", unready);
    }
    responses
}

/// What an address changes, as it is shown.
fn thing(route: &str) -> &'static str {
    match route.split('/').skip_while(|part| *part != "tasks").count() {
        0 => "List",
        1 => "Tasks",
        _ => "Task",
    }
}

fn success(operation: &Operation) -> ResponseBuilder {
    operation.success.media.iter().fold(ResponseBuilder::new(), |response, (media, schema)| {
        let content = ContentBuilder::new().schema(schema.map(Ref::from_schema_name)).build();
        response.content(*media, content)
    })
}

fn parameter(name: &str, place: ParameterIn, schema: Option<RefOr<Schema>>) -> Parameter {
    let required = if place == ParameterIn::Path { Required::True } else { Required::False };
    ParameterBuilder::new().name(name).parameter_in(place).required(required).schema(schema).build()
}

fn method(name: &str) -> HttpMethod {
    match name {
        "POST" => HttpMethod::Post,
        "PUT" => HttpMethod::Put,
        "PATCH" => HttpMethod::Patch,
        "DELETE" => HttpMethod::Delete,
        _ => HttpMethod::Get,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_and_every_name_it_uses_is_in_the_document() {
        let document: Value = serde_json::from_str(&document()).unwrap();
        assert!(document["openapi"].as_str().unwrap().starts_with("3.1"), "{}", document["openapi"]);
        let schemas = &document["components"]["schemas"];
        for operation in OPERATIONS {
            let found = &document["paths"][operation.route][operation.method.to_lowercase()];
            assert_eq!(found["operationId"], operation.id);
            for parameter in found["parameters"].as_array().into_iter().flatten() {
                assert!(parameter["schema"].is_object(), "{}: no schema of {}", operation.id, parameter["name"]);
            }
            let names = operation.success.media.iter().filter_map(|(_, schema)| *schema).chain(operation.body);
            for name in names {
                assert!(schemas[name].is_object(), "{}: no schema {name}", operation.id);
            }
        }
        assert!(schemas["Problem"].is_object());
    }

    #[test]
    fn no_schema_is_lost_on_its_way_into_the_document() {
        let given: Value = serde_json::from_str(SCHEMAS).unwrap();
        let document: Value = serde_json::from_str(&document()).unwrap();
        for (name, schema) in given["schemas"].as_object().unwrap() {
            let written = &document["components"]["schemas"][name];
            for (property, _) in schema["properties"].as_object().into_iter().flatten() {
                assert!(written["properties"][property].is_object(), "{name}.{property}");
            }
        }
    }
}
