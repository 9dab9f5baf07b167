pub(crate) mod attempt;
pub(crate) mod call;
pub(crate) mod deadline_body;
pub(crate) mod own_requests;
pub(crate) mod send_once;
