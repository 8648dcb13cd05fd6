//! The API over HTTPS, with real read models behind it.

mod history;
mod past;
mod plant;

use std::collections::BTreeSet;

use mw_production_views::columns::FIELDS;
use plant::Plant;
use serde_json::{Value, json};
use uuid::Uuid;

/// The API is asked from a thread of its own: its client blocks.
macro_rules! asking {
    ($plant:ident, $body:block) => {{
        let $plant = &$plant;
        tokio::task::block_in_place(move || $body)
    }};
}

mod figures;
mod joint;
mod orders;
mod tickets;
mod units;

#[tokio::test(flavor = "multi_thread")]
async fn pages_in_every_sort_hold_every_order_once() {
    let p = Plant::new().await;
    let mut all = BTreeSet::new();
    for i in 0..120u32 {
        // Many ties, some nulls.
        let mut fields = json!({
            "priority": i % 3 + 1, "planned_qty": (i % 7 + 1).to_string(),
            "due_at": format!("2026-03-{:02}T00:00:00.000Z", i % 9 + 1),
        });
        if i % 2 == 0 {
            fields["customer_id"] = json!(format!("customer-{}", i % 4));
        }
        let id = p.create("plant-1", fields).await;
        all.insert(id.to_string());
        if i % 5 == 0 {
            let payload = json!({"line_id": "line-1", "planned_start": "2026-03-03T08:00:00.000Z",
                "planned_end": "2026-03-03T16:00:00.000Z"});
            let c = json!({"command_id": Uuid::now_v7(), "type": "work-order.plan", "aggregate_id": id,
                "expected_version": 1, "payload": payload});
            assert!(p.execute("planner-1", Some("plant-1"), &c).await.error.is_none());
        }
    }
    p.settled().await;
    asking!(p, {
        let sorts = FIELDS.iter().filter(|f| f.name != "id").flat_map(|f| [f.name.to_owned(), format!("-{}", f.name)]);
        for sort in sorts.chain([String::new()]) {
            let by = if sort.is_empty() { String::new() } else { format!("&sort={sort}") };
            let mut path = format!("/v1/work-orders?limit=17{by}");
            let mut seen = Vec::new();
            loop {
                let page = p.get("planner-1", &path);
                seen.extend(page.items().iter().map(|i| i["id"].as_str().unwrap().to_owned()));
                let link = page.header("link").map(|l| l.split('>').next().unwrap()[1..].to_owned());
                assert_eq!(link.is_some(), !page.json()["next"].is_null());
                match link {
                    Some(next) => path = next,
                    None => break,
                }
            }
            assert_eq!(seen.len(), 120, "sort {sort}");
            assert_eq!(seen.iter().cloned().collect::<BTreeSet<_>>(), all, "sort {sort}");
        }
        let first = p.get("planner-1", "/v1/work-orders?limit=1").items().remove(0);
        assert_eq!((&first["priority"], &first["due_at"]), (&json!(1), &json!("2026-03-01T00:00:00.000Z")));
        let cursor = p.get("planner-1", "/v1/work-orders?limit=1").json()["next"].as_str().unwrap().to_owned();
        let other = p.get("planner-1", &format!("/v1/work-orders?state=planned&cursor={cursor}"));
        assert_eq!(other.problem(400), "bad-parameter");
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_select_and_sorting_orders() {
    let p = Plant::new().await;
    let a = p.create("plant-1", json!({"due_at": "2026-03-01T00:00:00.000Z", "priority": 2})).await;
    let b = p.create("plant-1", json!({"due_at": "2026-05-01T00:00:00.000Z", "product_id": "pump-200"})).await;
    let c = json!({"command_id": Uuid::now_v7(), "type": "work-order.cancel", "aggregate_id": b, "expected_version": 1,
        "payload": {"reason": "other", "note": "no longer needed"}});
    let r = p.execute("planner-1", Some("plant-1"), &c).await;
    assert!(r.error.is_none(), "{:?}", r.error);
    p.settled().await;
    asking!(p, {
        let ids = |q: &str| -> Vec<String> {
            let items = p.get("planner-1", &format!("/v1/work-orders?{q}")).items();
            items.iter().map(|i| i["id"].as_str().unwrap().to_owned()).collect()
        };
        let (a, b) = (a.to_string(), b.to_string());
        for (q, expected) in [
            ("state=draft", vec![&a]),
            ("state=cancelled,draft&sort=due_at", vec![&a, &b]),
            ("sort=-due_at", vec![&b, &a]),
            ("product=pump-200", vec![&b]),
            ("priority=2", vec![&a]),
            ("late=true", vec![&a]),
            ("late=false", vec![&b]),
            ("due_from=2026-04-01T00:00:00Z", vec![&b]),
            ("due_to=2026-04-01T00:00:00Z", vec![&a]),
            ("short=false&has_ticket=false&sort=due_at", vec![&a, &b]),
            ("has_ticket=true", vec![]),
            ("origin=manual&sort=due_at", vec![&a, &b]),
            ("site=plant-1&order_type=production&line=line-1", vec![]),
            ("q=wo-2026-000002", vec![&b]),
            ("q=%25", vec![]),
        ] {
            assert_eq!(ids(q).iter().collect::<Vec<_>>(), expected, "{q}");
        }
        for (q, says) in [
            ("state=burning", "in_progress"),
            ("line=line-9", "line-1"),
            ("product=nothing", "pump-200"),
            ("priority=9", "4"),
            ("late=perhaps", "true"),
            ("due_from=soon", "2026"),
            ("colour=red", "due_from"),
            ("sort=colour", "due_at"),
            ("limit=0", "500"),
            ("format=xml", "csv"),
            ("cursor=x", "cursor"),
            ("min_position=x", "min_position"),
            ("state=draft&state=draft", "twice"),
        ] {
            let refused = p.get("planner-1", &format!("/v1/work-orders?{q}"));
            assert_eq!(refused.problem(400), "bad-parameter", "{q}");
            assert!(refused.text.contains(says), "{q}: {}", refused.text);
        }
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn i8_what_the_scope_excludes_does_not_exist() {
    let p = Plant::new().await;
    let mine = p.create("plant-1", json!({})).await;
    let other = p.create("plant-2", json!({"note": "call Mrs Miller"})).await;
    let refused = json!({"command_id": Uuid::now_v7(), "type": "work-order.release", "aggregate_id": mine,
        "payload": {}});
    p.execute("operator-1", Some("plant-1"), &refused).await;
    let refused_id = refused["command_id"].as_str().unwrap().to_owned();
    p.settled().await;
    asking!(p, {
        for (who, sees, hidden) in [("planner-1", mine, other), ("planner-2", other, mine)] {
            let list = p.get(who, "/v1/work-orders").items();
            assert_eq!(list.iter().map(|i| i["id"].clone()).collect::<Vec<_>>(), [json!(sees)], "{who}");
            assert_eq!(p.get(who, &format!("/v1/work-orders/{sees}")).status, 200);
            for path in [format!("/v1/work-orders/{hidden}"), format!("/v1/work-orders/{hidden}/events")] {
                assert_eq!(p.get(who, &path).problem(404), "not-found", "{who} {path}");
            }
            // The answer to what is hidden is the answer to what is not there.
            let nothing = Uuid::now_v7();
            let hidden_text = p.get(who, &format!("/v1/work-orders/{hidden}")).text;
            let nothing_text = p.get(who, &format!("/v1/work-orders/{nothing}")).text;
            assert_eq!(hidden_text.replace(&hidden.to_string(), "X"), nothing_text.replace(&nothing.to_string(), "X"));
            assert!(p.get(who, "/v1/work-orders?site=plant-1,plant-2").items().len() == 1);
        }
        for who in ["customer-1", "cell-1"] {
            assert_eq!(p.get(who, "/v1/work-orders").problem(403), "forbidden");
            assert_eq!(p.get(who, &format!("/v1/work-orders/{mine}")).problem(403), "forbidden");
        }
        for who in ["planner-1", "operator-1", "customer-1"] {
            assert_eq!(p.get(who, "/v1/audit/events").problem(403), "forbidden", "{who}");
        }
        let seen = p.get("auditor-1", "/v1/audit/events?limit=500").text;
        assert!(seen.contains(&mine.to_string()) && !seen.contains(&other.to_string()));
        // Who sent a command sees its outcome; the planner of the site does; a stranger does not.
        let path = format!("/v1/commands/{refused_id}");
        for (who, status) in [("operator-1", 200), ("planner-1", 200), ("planner-2", 404), ("customer-1", 404)] {
            assert_eq!(p.get(who, &path).status, status, "{who}");
        }
        assert_eq!(p.get("operator-1", &path).json()["error"]["code"], "VALIDATION");
        // An operator's trail holds what the operator did.
        let trail = p.get("operator-1", &format!("/v1/work-orders/{mine}/events")).items();
        assert!(trail.iter().all(|r| r["actor"] == "operator-1") && trail.len() == 1, "{trail:?}");
        let trail = p.get("planner-1", &format!("/v1/work-orders/{mine}/events")).items();
        assert_eq!(trail.iter().filter(|r| r["refused"] == true).count(), 1);
        assert_eq!(trail.len(), 2);
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_have_tags_notes_are_opened_and_positions_waited_for() {
    let p = Plant::new().await;
    let id = p.create("plant-1", json!({})).await;
    let note = json!({"note_id": Uuid::now_v7(), "text": "call Mrs Miller"});
    let noted = p.send("planner-1", Some("plant-1"), "work-order.add-note", Some(id), note).await;
    let position = noted.position.unwrap().0;
    asking!(p, {
        let path = format!("/v1/work-orders/{id}?min_position={position}");
        let d = p.get("planner-1", &path);
        assert_eq!(d.json()["version"], 2);
        assert_eq!(d.json()["notes"][0]["text"], "call Mrs Miller");
        assert_eq!(d.json()["operations"][0]["op"], 10);
        let tag = d.header("etag").unwrap().to_owned();
        for given in [tag.clone(), format!("\"x\", W/{tag}"), "*".to_owned()] {
            let same = p.get_with("planner-1", &path, &[("if-none-match", &given)]);
            assert_eq!((same.status, same.text.as_str(), same.header("etag")), (304, "", Some(tag.as_str())));
        }
        assert_eq!(p.get_with("planner-1", &path, &[("if-none-match", "\"1\"")]).status, 200);
        let trail = p.get("planner-1", &format!("/v1/work-orders/{id}/events?type=NoteAdded")).items();
        assert_eq!((trail.len(), &trail[0]["note"]), (1, &json!("call Mrs Miller")));
        let audit = p.get("auditor-1", &format!("/v1/audit/events?stream=work-order/{id}&type=NoteAdded")).items();
        assert_eq!(audit[0]["payload"]["text"], "call Mrs Miller");
        for q in [format!("{position}"), format!("production:{position},after-service:9")] {
            assert_eq!(p.get("planner-1", &format!("/v1/work-orders?min_position={q}")).status, 200);
        }
        let behind = p.get("planner-1", &format!("/v1/work-orders?min_position={}", position + 1));
        assert_eq!(behind.problem(503), "read-model-behind");
        assert!(behind.header("retry-after").is_some());
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn the_audit_trail_pages_through_the_log_without_gaps() {
    let p = Plant::new().await;
    let id = p.create("plant-1", json!({})).await;
    for i in 0..25 {
        let note = json!({"note_id": Uuid::now_v7(), "text": format!("note {i}")});
        p.send("planner-1", Some("plant-1"), "work-order.add-note", Some(id), note).await;
    }
    p.settled().await;
    asking!(p, {
        let mut path = "/v1/audit/events?limit=7&context=production".to_owned();
        let mut positions = Vec::new();
        loop {
            let page = p.get("admin", &path);
            positions.extend(page.items().iter().map(|i| i["position"].as_u64().unwrap()));
            match page.header("link") {
                Some(l) => path = l.split('>').next().unwrap()[1..].to_owned(),
                None => break,
            }
        }
        assert_eq!(positions, (1..=positions.len() as u64).collect::<Vec<_>>());
        let last = *positions.last().unwrap();
        assert_eq!(p.get("admin", &format!("/v1/audit/events?after={}", last - 3)).items().len(), 3);
        assert!(p.get("admin", "/v1/audit/events?actor=nobody").items().is_empty());
        assert_eq!(p.get("admin", "/v1/audit/events?type=NoteAdded&limit=500").items().len(), 25);
        assert!(p.get("admin", "/v1/audit/events?to=2020-01-01T00:00:00Z").items().is_empty());
        assert!(p.get("admin", "/v1/audit/events?context=identity").items().is_empty());
        for bad in ["context=moon", "stream=x", "stream=work-order/x", "stream=account/1", "type=Nothing", "after=x"] {
            assert_eq!(p.get("admin", &format!("/v1/audit/events?{bad}")).problem(400), "bad-parameter", "{bad}");
        }
        assert_eq!(p.get("admin", "/v1/audit/events?context=after-service").json()["position"], 0);
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn csv_is_quoted_and_starts_no_formula() {
    let p = Plant::new().await;
    p.create("plant-1", json!({"sales_order_ref": "=1+1", "product_rev": "@a,\"b\""})).await;
    p.settled().await;
    asking!(p, {
        let csv = p.get("planner-1", "/v1/work-orders?format=csv");
        assert!(csv.header("content-type").unwrap().starts_with("text/csv"));
        let mut lines = csv.text.split("\r\n");
        assert_eq!(lines.next().unwrap().split(',').count(), FIELDS.len());
        let row = lines.next().unwrap();
        assert!(row.contains("\"'@a,\"\"b\"\"\""), "{row}");
        assert_eq!(lines.next(), Some(""));
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_and_what_is_not_there_is_a_problem_document() {
    let p = Plant::new().await;
    asking!(p, {
        let no_token = p.get("", "/v1/work-orders");
        assert_eq!(no_token.problem(401), "unauthorized");
        assert_eq!(no_token.header("www-authenticate"), Some("Bearer"));
        assert_eq!(p.get("not-an-account", "/v1/work-orders").problem(401), "unauthorized");
        assert_eq!(p.get("planner-1", "/v1/nothing").problem(404), "not-found");
        assert_eq!(p.get("planner-1", "/v1/work-orders/not-a-uuid").problem(404), "not-found");
        assert_eq!(p.get("planner-1", "/v1/token").problem(405), "method-not-allowed");
        assert_eq!(p.get("planner-1", "/v1/work-orders/..%2f..%2fetc").problem(404), "not-found");
        let granted = p.post("/v1/token", &[("grant_type", "password"), ("username", "admin"), ("password", "x")], &[]);
        assert_eq!((granted.status, granted.header("cache-control")), (200, Some("no-store")));
        for (form, status, error) in [
            (vec![("grant_type", "password"), ("username", "nobody")], 401, "invalid_grant"),
            (vec![("grant_type", "magic")], 400, "unsupported_grant_type"),
            (vec![("x", "y")], 400, "invalid_request"),
            (vec![("grant_type", "password"), ("username", "busy")], 429, "temporarily_unavailable"),
        ] {
            let r = p.post("/v1/token", &form, &[]);
            assert_eq!((r.status, &r.json()["error"]), (status, &json!(error)));
            assert_eq!(r.header("retry-after").is_some(), status == 429);
        }
        // HTTP Basic, as RFC 6749 advises for clients.
        let basic = p.post(
            "/v1/token",
            &[("grant_type", "client_credentials")],
            &[("authorization", "Basic Y2VsbC0xOnNlY3JldA==")],
        );
        assert_eq!(basic.json(), json!({"access_token": "cell-1", "secret": "secret"}));
    });
}

fn refs(v: &Value, found: &mut Vec<String>) {
    match v {
        Value::Object(o) => {
            if let Some(r) = o.get("$ref").and_then(Value::as_str) {
                found.push(r.to_owned());
            }
            o.values().for_each(|v| refs(v, found));
        }
        Value::Array(a) => a.iter().for_each(|v| refs(v, found)),
        _ => {}
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_description_lists_every_route_and_all_its_references_resolve() {
    let p = Plant::new().await;
    asking!(p, {
        let d = p.get("", "/openapi.json").json();
        for r in mw_query_api::routes::ROUTES {
            assert!(d["paths"][r.path][r.method].is_object(), "{} {}", r.method, r.path);
        }
        let mut found = Vec::new();
        refs(&d, &mut found);
        assert!(found.len() > 20);
        for r in found {
            assert!(d.pointer(r.strip_prefix('#').unwrap()).is_some(), "{r} leads nowhere");
        }
        for kind in ["Site", "Line", "Cell", "Product", "Routing", "Bom", "Catalogue", "SlaPolicy", "Customer"] {
            assert!(d["components"]["schemas"][format!("Reference{kind}")].is_object(), "{kind}");
        }
        assert!(d["x-reference-namespace"].as_str().unwrap().parse::<Uuid>().is_ok());
        // The page, and everything that it loads, comes from here.
        assert_eq!(p.get("", "/docs").header("location"), Some("/docs/"));
        let page = p.get("", "/docs/").text;
        assert!(!page.contains("http://") && !page.contains("https://"), "{page}");
        for file in page.split(['"', '\'']).filter(|s| s.starts_with("./") || s.ends_with(".js") || s.ends_with(".css"))
        {
            let file = file.trim_start_matches("./");
            assert_eq!(p.get("", &format!("/docs/{file}")).status, 200, "{file}");
        }
        assert_eq!(p.get("", "/docs/../../etc/passwd").status, 404);
        assert_eq!(p.get("", "/livez").json()["status"], "ok");
        assert_eq!(p.get("", "/readyz").json()["status"], "ready");
        assert_eq!(p.get("", "/metrics").text, "# EOF\n");
    });
}

/// Every row of every table, as text.
fn dump(file: &std::path::Path) -> Vec<String> {
    let conn = rusqlite::Connection::open_with_flags(file, rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let mut tables = conn.prepare("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name").unwrap();
    let names: Vec<String> = tables.query_map([], |r| r.get(0)).unwrap().map(Result::unwrap).collect();
    let mut rows = Vec::new();
    for t in names.iter().filter(|t| !t.starts_with("sqlite_")) {
        let mut st = conn.prepare(&format!("SELECT * FROM {t}")).unwrap();
        let columns = st.column_count();
        let mut all = st.query([]).unwrap();
        let mut of_table = Vec::new();
        while let Some(r) = all.next().unwrap() {
            let values: Vec<String> = (0..columns).map(|i| format!("{:?}", r.get_ref(i).unwrap())).collect();
            of_table.push(format!("{t}: {}", values.join(" | ")));
        }
        of_table.sort();
        rows.extend(of_table);
    }
    rows
}

fn live_file(dir: &std::path::Path) -> std::path::PathBuf {
    std::fs::canonicalize(dir.join(format!("production.v{}.db", mw_production_views::ProductionViews::SCHEMA))).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn i5_a_read_model_that_was_deleted_or_rebuilt_has_the_same_rows() {
    let p = Plant::new().await;
    for i in 0..40u32 {
        let id = p.create("plant-1", json!({"priority": i % 4 + 1})).await;
        for _ in 0..i % 4 {
            let note = json!({"note_id": Uuid::now_v7(), "text": "x"});
            p.send("planner-1", Some("plant-1"), "work-order.add-note", Some(id), note).await;
        }
    }
    p.settled().await;
    let views = p.dir.path().join("views");
    let lived = dump(&live_file(&views));
    assert!(lived.len() > 100);
    // From zero elsewhere, in large batches.
    let elsewhere = p.dir.path().join("again");
    std::fs::create_dir_all(&elsewhere).unwrap();
    let again = plant::follow(&elsewhere, &p.log);
    assert!(again.reached(mw_log::EventLog::head(&*p.log).commit).await);
    assert_eq!(dump(&live_file(&elsewhere)), lived);
    // Beside the live one, which answers meanwhile.
    let before = live_file(&views);
    p.production.rebuild().await.unwrap();
    assert_ne!(live_file(&views), before, "another file has taken over");
    assert_eq!(dump(&live_file(&views)), lived);
    asking!(p, {
        assert_eq!(p.get("planner-1", "/v1/work-orders?limit=500").items().len(), 40);
    });
}
