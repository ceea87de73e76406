//! *Gateway*: requests, live streams, connections.

use crate::board::{Board, Rows};
use crate::panel::{series, stat, table};

pub(super) fn board() -> Board {
    Board {
        uid: "cabildo-gateway",
        title: "Cabildo / Gateway",
        description: "Requests, live streams and connections of the gateways.",
        texts: &[],
        rows: Rows {
            summary: vec![
                stat("Requests", "Requests answered, a second.", "reqps")
                    .query("sum(rate(cabildo_gateway_requests_total{@}[~]))", "requests"),
                stat("Server errors", "Share of requests answered with a 5xx.", "percentunit")
                    .query(
                        r#"sum(rate(cabildo_gateway_requests_total{@,status="5xx"}[~])) / sum(rate(cabildo_gateway_requests_total{@}[~]))"#,
                        "5xx",
                    )
                    .bad_from(0.001, 0.01),
                stat("Slowest hundredth", "99th percentile of the time to answer.", "s")
                    .query(
                        "histogram_quantile(0.99, sum by (le) (rate(cabildo_gateway_request_duration_seconds_bucket{@}[~])))",
                        "p99",
                    )
                    .bad_from(0.1, 0.5),
                stat("Connections", "Connections open now.", "none")
                    .query("sum(cabildo_gateway_open_connections{@})", "connections"),
                stat("Live streams", "Live streams open now.", "none")
                    .query("sum(cabildo_gateway_live_listeners{@})", "listeners"),
                stat("Gateways", "Gateways that Prometheus reaches.", "none")
                    .query("count(cabildo_gateway_open_connections{@})", "gateways"),
            ],
            rate: vec![
                series("By route", "Requests answered, a second, by route.", "reqps")
                    .query("sum by (route) (rate(cabildo_gateway_requests_total{@}[~]))", "{{route}}")
                    .high(10),
                series("By status", "Requests answered, a second, by class of status.", "reqps")
                    .query("sum by (status) (rate(cabildo_gateway_requests_total{@}[~]))", "{{status}}")
                    .stacked()
                    .high(10),
                series("Sent live", "Bytes sent on live streams, a second.", "Bps")
                    .query("sum by (instance) (rate(cabildo_gateway_live_sent_bytes_total{@}[~]))", "{{instance}}")
                    .high(10),
            ],
            errors: vec![
                series("Problems", "Requests answered with a problem document, a second, by the problem.", "reqps")
                    .query("sum by (reason) (rate(cabildo_gateway_requests_refused_total{@}[~]))", "{{reason}}")
                    .wide(12),
                series("Server errors by route", "Requests answered with a 5xx, a second, by route.", "reqps")
                    .query(
                        r#"sum by (route) (rate(cabildo_gateway_requests_total{@,status="5xx"}[~]))"#,
                        "{{route}}",
                    )
                    .wide(12),
            ],
            duration: vec![
                series("All requests", "From a request's head to its answer's head.", "s")
                    .quantiles("cabildo_gateway_request_duration_seconds", "")
                    .wide(12),
                series("By route", "99th percentile of the time to answer, by route.", "s")
                    .query(
                        "histogram_quantile(0.99, sum by (le, route) (rate(cabildo_gateway_request_duration_seconds_bucket{@}[~])))",
                        "{{route}}",
                    )
                    .wide(12),
            ],
            saturation: vec![
                series("Connections", "Connections open, by gateway.", "short")
                    .query("cabildo_gateway_open_connections{@}", "{{instance}}"),
                series("Live streams", "Live streams open, by gateway.", "short")
                    .query("cabildo_gateway_live_listeners{@}", "{{instance}}"),
                series("Waiting for the journal", "Events that wait for the journal, by gateway.", "short")
                    .query("cabildo_append_waiting_events{@}", "{{instance}}"),
            ],
            details: vec![
                table("Routes", "Requests since the start of each process, by route, method and class of status.", "short")
                    .query("sort_desc(sum by (route, method, status) (cabildo_gateway_requests_total{@}))", "")
                    .without(&["Time"])
                    .wide(24),
            ],
        },
    }
}
