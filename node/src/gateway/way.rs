//! By which protocol a request came.

/// A way in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    /// `POST /api/v1/logs`.
    Http,
    /// `hushlog.v1.Ingest`.
    Grpc,
    /// OpenTelemetry over HTTP.
    OtlpHttp,
    /// OpenTelemetry over gRPC.
    OtlpGrpc,
    /// Elasticsearch's `_bulk`.
    Elasticsearch,
    /// Loki's push.
    Loki,
    /// Syslog over TCP.
    SyslogTcp,
    /// Syslog over UDP.
    SyslogUdp,
}

impl Way {
    /// Every one.
    pub const ALL: [Self; 8] = [
        Self::Http,
        Self::Grpc,
        Self::OtlpHttp,
        Self::OtlpGrpc,
        Self::Elasticsearch,
        Self::Loki,
        Self::SyslogTcp,
        Self::SyslogUdp,
    ];

    /// Its name in the interface and in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Grpc => "grpc",
            Self::OtlpHttp => "otlp_http",
            Self::OtlpGrpc => "otlp_grpc",
            Self::Elasticsearch => "elasticsearch",
            Self::Loki => "loki",
            Self::SyslogTcp => "syslog_tcp",
            Self::SyslogUdp => "syslog_udp",
        }
    }
}
