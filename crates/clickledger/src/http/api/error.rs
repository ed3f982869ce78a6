//! Errors as JSON: `{"error": {"code", "message", "parameter"?}}`; the message names the fix.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use click_engine::store::{CalendarError, QueryError};
use serde_json::json;

/// An answer that is an error.
#[derive(Debug)]
pub struct ApiError {
    status: StatusCode,
    code: &'static str,
    message: String,
    parameter: Option<String>,
}

impl ApiError {
    /// An error about the request as a whole.
    pub fn new(status: StatusCode, code: &'static str, message: &str) -> ApiError {
        ApiError { status, code, message: message.into(), parameter: None }
    }

    /// A parameter that is not as it must be.
    pub fn parameter(name: &str, message: String) -> ApiError {
        let (status, code) = (StatusCode::BAD_REQUEST, "bad_parameter");
        ApiError { status, code, message, parameter: Some(name.into()) }
    }

    /// The service cannot answer now.
    pub fn unavailable(message: &str) -> ApiError {
        ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", message)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut error = json!({ "code": self.code, "message": self.message });
        if let Some(parameter) = self.parameter {
            error["parameter"] = json!(parameter);
        }
        let mut response = (self.status, Json(json!({ "error": error }))).into_response();
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

impl From<QueryError> for ApiError {
    fn from(error: QueryError) -> ApiError {
        match error {
            QueryError::TooLarge(_) => ApiError::parameter("from", error.to_string()),
            QueryError::Store(error) => ApiError::unavailable(&error.to_string()),
        }
    }
}

impl From<CalendarError> for ApiError {
    fn from(error: CalendarError) -> ApiError {
        let name = match error {
            CalendarError::Zone(_) => "tz",
            CalendarError::Empty | CalendarError::BeyondTime(_) => "from",
            CalendarError::TooMany => "step",
        };
        ApiError::parameter(name, error.to_string())
    }
}

/// Nothing lives at this path.
pub async fn not_found(uri: axum::http::Uri) -> ApiError {
    let message = format!("nothing is at {}; the API is described at /v1/openapi.json", uri.path());
    ApiError::new(StatusCode::NOT_FOUND, "not_found", &message)
}

/// The path lives, the method does not.
pub async fn wrong_method() -> ApiError {
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "use GET")
}
