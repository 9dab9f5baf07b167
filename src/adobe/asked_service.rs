//! The services of Adobe that requests go to, in the words of errors and logs.

use std::fmt;

/// One of Adobe's services.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AskedService {
    #[default]
    FlowService,
    SchemaRegistry,
    Catalog,
    DataPrep,
}

impl AskedService {
    pub fn name(self) -> &'static str {
        match self {
            Self::FlowService => "the Flow Service",
            Self::SchemaRegistry => "the Schema Registry",
            Self::Catalog => "the Catalog",
            Self::DataPrep => "Data Prep",
        }
    }

    /// Its name in metrics.
    pub fn label(self) -> &'static str {
        match self {
            Self::FlowService => "flow_service",
            Self::SchemaRegistry => "schema_registry",
            Self::Catalog => "catalog",
            Self::DataPrep => "data_prep",
        }
    }

    /// The setting that has its URL.
    pub(crate) fn url_setting(self) -> &'static str {
        match self {
            Self::FlowService => "HCS_FLOW_SERVICE_URL",
            Self::SchemaRegistry | Self::Catalog | Self::DataPrep => "HCS_PLATFORM_URL",
        }
    }

    /// The permissions of Adobe's access control that it takes. Data Prep documents none.
    pub(crate) fn permissions(self) -> &'static str {
        match self {
            Self::FlowService | Self::DataPrep => "permissions Manage Sources and View Sources",
            Self::SchemaRegistry => "permission Manage Schemas",
            Self::Catalog => "permission Manage Datasets",
        }
    }
}

impl fmt::Display for AskedService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
