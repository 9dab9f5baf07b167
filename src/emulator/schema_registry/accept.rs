//! The `Accept` header, which names the form of a response.

use http::{StatusCode, header};

use crate::emulator::{
    platform::{bad_request, error, not_found},
    problem::Problem,
    received::ReceivedRequest,
};

/// The form of one resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Accept {
    pub(super) form: Form,
    /// Titles and descriptions.
    pub(super) with_texts: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// A summary, in lists only.
    Id,
    /// With references.
    Raw,
    /// With references resolved.
    Full,
}

impl Accept {
    /// For reading one resource.
    ///
    /// # Errors
    /// 406 without a known form, 400 without its version, 404 for a version that does not exist.
    pub(super) fn of_one(request: &ReceivedRequest) -> Result<Self, Problem> {
        let (form, version) = media_type(request).ok_or_else(not_acceptable)?;
        let accept = |form, with_texts| Self { form, with_texts };
        let accept = match form {
            "" => accept(Form::Raw, true),
            "-notext" => accept(Form::Raw, false),
            // There are no descriptors.
            "-full" | "-full-desc" => accept(Form::Full, true),
            "-full-notext" => accept(Form::Full, false),
            _ => return Err(not_acceptable()),
        };
        match version {
            // The latest minor version of the major one.
            Some("1" | "1.0") => Ok(accept),
            Some(version) => Err(not_found(format!("The version {version} is not found."))),
            None => Err(bad_request(
                "The Accept header has no version. Please add one, like \
                 application/vnd.adobe.xed-full+json; version=1, and try again.",
            )),
        }
    }

    /// For lists.
    ///
    /// # Errors
    /// 406 without a known form.
    pub(super) fn of_list(request: &ReceivedRequest) -> Result<Form, Problem> {
        match media_type(request) {
            Some(("-id", _)) => Ok(Form::Id),
            Some(("", _)) => Ok(Form::Raw),
            _ => Err(not_acceptable()),
        }
    }
}

/// What follows `application/vnd.adobe.xed` before `+json`, and the version. `xdm` is a synonym of `xed`.
fn media_type(request: &ReceivedRequest) -> Option<(&str, Option<&str>)> {
    let mut parts = request.header(header::ACCEPT)?.split(';').map(str::trim);
    let vendor = parts.next()?.strip_prefix("application/vnd.adobe.")?.strip_suffix("+json")?;
    let form = vendor.strip_prefix("xed").or_else(|| vendor.strip_prefix("xdm"))?;
    let version = parts.find_map(|parameter| parameter.strip_prefix("version="));
    Some((form, version))
}

fn not_acceptable() -> Problem {
    error(
        StatusCode::NOT_ACCEPTABLE,
        "NotAcceptableError",
        "The Accept header is missing or not supported. Please add one, like \
         application/vnd.adobe.xed-id+json for a list and application/vnd.adobe.xed+json; version=1 for one \
         resource, and try again.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::emulator::received::tests::request;

    fn status(problem: &Problem) -> u16 {
        problem.reply("").status.as_u16()
    }

    #[test]
    fn one_resource_needs_a_form_and_a_version() {
        let accept = |value| Accept::of_one(&request("GET", "/", &[("accept", value)], ""));
        let expected = |form, with_texts| Ok(Accept { form, with_texts });
        for (value, form, with_texts) in [
            ("application/vnd.adobe.xed+json; version=1", Form::Raw, true),
            ("application/vnd.adobe.xed-notext+json;version=1", Form::Raw, false),
            ("application/vnd.adobe.xed-full+json; version=1", Form::Full, true),
            ("application/vnd.adobe.xdm-full+json; version=1.0", Form::Full, true),
            ("application/vnd.adobe.xed-full-notext+json; version=1", Form::Full, false),
        ] {
            assert_eq!(accept(value), expected(form, with_texts), "{value}");
        }
        for (value, code) in [
            ("", 406),
            ("*/*", 406),
            ("application/json", 406),
            ("application/vnd.adobe.xed-id+json; version=1", 406),
            ("application/vnd.adobe.xed-full+json", 400),
            ("application/vnd.adobe.xed-full+json; version=2", 404),
        ] {
            assert_eq!(accept(value).map_err(|problem| status(&problem)), Err(code), "{value}");
        }
    }

    #[test]
    fn a_list_needs_a_form_alone() {
        let accept = |value| Accept::of_list(&request("GET", "/", &[("accept", value)], ""));
        assert_eq!(accept("application/vnd.adobe.xed-id+json"), Ok(Form::Id));
        assert_eq!(accept("application/vnd.adobe.xed+json"), Ok(Form::Raw));
        for value in ["", "*/*", "application/vnd.adobe.xed-full+json"] {
            assert_eq!(accept(value).map_err(|problem| status(&problem)), Err(406), "{value}");
        }
    }
}
