//! KPIs and paretos over HTTPS: from commands to figures, parameters, scope.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::plant::{self, Plant};

const DAY: &str = "from=2026-03-01T23:00:00Z&to=2026-03-02T23:00:00Z";

/// An order on cell-1 with 99 good pieces and 11 scrapped ones, made this morning.
async fn worked() -> Plant {
    let p = Plant::new().await;
    let id = p.create("plant-1", json!({"planned_qty": "110", "line_id": "line-1"})).await;
    let strict = |kind: &str, version: u64, payload: Value| {
        json!({"command_id": Uuid::now_v7(), "type": kind, "aggregate_id": id, "expected_version": version,
            "payload": payload})
    };
    let plan = json!({"line_id": "line-1", "planned_start": "2026-03-03T08:00:00.000Z",
        "planned_end": "2026-03-03T16:00:00.000Z"});
    for c in [strict("work-order.plan", 1, plan), strict("work-order.release", 2, json!({}))] {
        let r = p.execute("planner-1", Some("plant-1"), &c).await;
        assert!(r.error.is_none(), "{:?}", r.error);
    }
    let session = Uuid::now_v7();
    let pieces = json!({"op": 10, "report_id": Uuid::now_v7(), "good": "99", "cell_id": "cell-1",
        "scrap": [{"qty": "8", "reason": "dimension"}, {"qty": "3", "reason": "surface"}]});
    for (kind, at, payload) in [
        ("work-order.start-operation", "06:00", json!({"op": 10, "session_id": session, "cell_id": "cell-1"})),
        ("work-order.report-quantity", "06:30", pieces),
        ("work-order.pause-operation", "07:00", json!({"op": 10, "session_id": session, "reason": "minor_stop"})),
    ] {
        let c = json!({"command_id": Uuid::now_v7(), "type": kind, "aggregate_id": id, "payload": payload,
            "occurred_at": format!("2026-03-02T{at}:00.000Z")});
        let r = p.execute("operator-1", Some("plant-1"), &c).await;
        assert!(r.error.is_none(), "{kind}: {:?}", r.error);
    }
    p.settled().await;
    p
}

#[tokio::test(flavor = "multi_thread")]
async fn figures_follow_from_commands() {
    let p = worked().await;
    asking!(p, {
        let head = p.log_position();
        let a = p.get("planner-1", &format!("/v1/kpis?{DAY}&kpi=K-03&min_position=production:{head}"));
        let items = a.items();
        assert_eq!(
            (a.json()["position"].clone(), a.json()["positions"]["production"].clone()),
            (json!(head), json!(head))
        );
        assert_eq!(items.len(), 1);
        let expected = json!({"kpi": "K-03", "name": "quality_ratio", "value": "0.9000", "unit": "ratio",
            "numerator": "99", "denominator": "110", "group": null, "revision": 1, "provisional": true,
            "computed_at": "2026-03-02T08:00:00.000Z", "event_position": head, "late_events_after": 0});
        assert_eq!(items[0], expected);

        let all = p.get("planner-1", &format!("/v1/kpis?{DAY}&group_by=cell")).items();
        let ids: std::collections::BTreeSet<&str> = all.iter().filter_map(|i| i["kpi"].as_str()).collect();
        assert_eq!(ids.len(), 34);
        let apt = all.iter().find(|i| i["kpi"] == "K-01" && i["group"] == "cell-1").unwrap();
        // One hour of 24: there is no shift calendar.
        assert_eq!((&apt["numerator"], &apt["denominator"]), (&json!("3600"), &json!("86400")));

        let days = p.get("auditor-1", &format!("/v1/kpis?{DAY}&group_by=day&kpi=K-01,K-07")).items();
        assert!(days.iter().any(|i| i["group"] == "2026-03-02" && i["value"] == "0.1000"), "{days:?}");
        let of = |q: &str| p.get("planner-1", &format!("/v1/kpis?{DAY}&kpi=K-03&{q}")).items();
        assert_eq!(of("line=line-1&product=bracket-10&cell=cell-1&site=plant-1")[0]["numerator"], "99");
        assert_eq!(of("product=pump-200")[0]["value"], json!(null), "nothing was made of it");
        assert!(of("revision=2").is_empty());

        let csv = p.get("planner-1", &format!("/v1/kpis?{DAY}&kpi=K-03&format=csv"));
        assert_eq!(csv.header("content-type"), Some("text/csv; charset=utf-8; header=present"));
        let lines: Vec<&str> = csv.text.lines().collect();
        assert!(lines[0].starts_with("kpi,name,value,unit,numerator,denominator,group,revision,provisional"));
        assert!(lines[1].starts_with("K-03,quality_ratio,0.9000,ratio,99,110,,1,true,"), "{}", lines[1]);

        let scrap = p.get("planner-1", &format!("/v1/pareto/scrap-reason?{DAY}"));
        assert_eq!(
            scrap.items()[0],
            json!({"reason": "dimension", "count": 1, "hours": null, "quantity": "8",
            "percent": "72.73", "cumulative_percent": "72.73", "vital": true})
        );
        let csv = p.get("planner-1", &format!("/v1/pareto/scrap-reason?{DAY}&format=csv&cell=cell-1")).text;
        assert!(csv.contains("\r\nsurface,1,,3,27.27,100.00,true\r\n"), "{csv}");
        for kind in ["stop-reason", "rework-reason", "fault-symptom", "fault-cause"] {
            assert_eq!(p.get("planner-1", &format!("/v1/pareto/{kind}?{DAY}")).items(), Vec::<Value>::new(), "{kind}");
        }
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_said_and_what_is_not_yours_is_not_there() {
    let p = worked().await;
    asking!(p, {
        for (query, says) in [
            ("", "from"),
            ("from=2026-03-02T00:00:00Z", "to: is needed"),
            ("from=yesterday&to=2026-03-02T00:00:00Z", "2026-03-02T09:00:00Z"),
            ("from=2026-03-02T00:00:00Z&to=2026-03-02T00:00:00Z", "after from"),
            ("from=2000-03-02T00:00:00Z&to=2026-03-02T00:00:00Z", "shorter"),
            (&format!("{DAY}&group_by=operator"), "product"),
            ("from=2021-03-02T00:00:00Z&to=2026-03-02T00:00:00Z&group_by=day", "week or month"),
            (&format!("{DAY}&kpi=K-99"), "K-01"),
            (&format!("{DAY}&revision=0"), "1 or more"),
            (&format!("{DAY}&line=line-9"), "line-1"),
            (&format!("{DAY}&cell=cell-9"), "cell-1"),
            (&format!("{DAY}&product=nothing"), "pump-200"),
            (&format!("{DAY}&operator=operator-1"), "is no parameter here"),
            (&format!("{DAY}&format=xml"), "csv"),
        ] {
            let refused = p.get("planner-1", &format!("/v1/kpis?{query}"));
            assert_eq!(refused.problem(400), "bad-parameter", "{query}");
            assert!(refused.text.contains(says), "{query}: {}", refused.text);
        }
        let refused = p.get("planner-1", &format!("/v1/pareto/scrap-reason?{DAY}&colour=red"));
        assert_eq!(refused.problem(400), "bad-parameter");
        for hidden in ["site=plant-2", "site=nowhere"] {
            for path in ["/v1/kpis", "/v1/pareto/stop-reason"] {
                assert_eq!(p.get("planner-1", &format!("{path}?{DAY}&{hidden}")).problem(404), "not-found", "{hidden}");
            }
        }
        // The line is at plant-1.
        assert_eq!(p.get("planner-2", &format!("/v1/kpis?{DAY}&line=line-1")).problem(404), "not-found");
        assert_eq!(p.get("planner-2", &format!("/v1/kpis?{DAY}&cell=cell-1")).problem(404), "not-found");
        assert_eq!(p.get("planner-1", &format!("/v1/pareto/noise?{DAY}")).problem(404), "not-found");
        let other = p.get("planner-2", &format!("/v1/kpis?{DAY}&kpi=K-03")).items();
        assert_eq!((&other[0]["value"], &other[0]["denominator"]), (&json!(null), &json!("0")));
        assert_eq!(p.get("planner-2", &format!("/v1/pareto/scrap-reason?{DAY}")).items(), Vec::<Value>::new());
        let refused = p.get("planner-1", &format!("/v1/pareto/stop-reason?{DAY}&customer=acme"));
        assert_eq!(refused.problem(400), "bad-parameter");
        for who in ["customer-1", "cell-1"] {
            for path in ["/v1/kpis", "/v1/pareto/stop-reason"] {
                p.get(who, &format!("{path}?{DAY}")).problem(403);
            }
        }
        p.get("", &format!("/v1/kpis?{DAY}")).problem(401);
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn i5_the_file_is_the_same_when_it_is_built_again() {
    let p = worked().await;
    let views = p.dir.path().join("views");
    let schema = mw_production_views::FigureViews::SCHEMA;
    let live = |dir: &std::path::Path| std::fs::canonicalize(dir.join(format!("figures.v{schema}.db"))).unwrap();
    let elsewhere = p.dir.path().join("again");
    std::fs::create_dir_all(&elsewhere).unwrap();
    let again = plant::follow_figures(&elsewhere, &p.log);
    assert!(again.reached(mw_log::EventLog::head(&*p.log).commit).await);
    assert_eq!(mw_projection::diff::diff(&live(&views), &live(&elsewhere)).unwrap(), []);
}
