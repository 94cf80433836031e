//! Names of services in the paths of rules that hold by service.

use hushlog_raft::limits::{RATE_SERVICE_BYTES_MAX, RETENTION_SERVICE_BYTES_MAX};

use super::{Api, Failure, Kind};

/// Stands for all services without a rule of their own.
pub(super) const DEFAULT: &str = "default";

/// One page of the documentation says it for all rules.
const _: () = assert!(RATE_SERVICE_BYTES_MAX == RETENTION_SERVICE_BYTES_MAX);

/// The service that a rule at this name is of; `None` for all without their own.
pub(super) fn service(name: &str) -> Option<String> {
    (name != DEFAULT).then(|| name.to_owned())
}

/// Refuses a name that no record can have. What is masked in records must not be stored here.
pub(super) fn check(api: &Api, service: &str) -> Result<(), Failure> {
    check_length(service)?;
    if api.masking.current().mask_text(service).masked != service {
        let why = "the name holds what is masked in records; name the service as its records do";
        return Err(Failure::new(Kind::InvalidArgument, why));
    }
    Ok(())
}

/// Refuses a name that no rule can have.
pub(super) fn check_length(service: &str) -> Result<(), Failure> {
    if service.is_empty() || service.len() > RETENTION_SERVICE_BYTES_MAX {
        let why = format!("a service's name has from 1 to {RETENTION_SERVICE_BYTES_MAX} bytes");
        return Err(Failure::new(Kind::InvalidArgument, why));
    }
    Ok(())
}
