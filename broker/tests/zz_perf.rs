mod common;
use common::*;
use mw_broker::Limits;
use std::time::Instant;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[tokio::test(flavor = "multi_thread")]
async fn perf() {
    let f = start_with(Limits { commands_per_second: 0, ..Limits::default() }).await;
    let (tx, mut rx) = f.command_service().await.split();
    std::thread::spawn(move || {
        while let Ok(m) = rx.recv_blocking() {
            let mut batch = vec![m];
            while let Ok(Some(m)) = rx.try_recv() { batch.push(m); }
            let out = batch.iter().map(|m| {
                let v: serde_json::Value = serde_json::from_slice(&m.payload).unwrap();
                reply_to(m, reply_json(v["command_id"].as_str().unwrap(), "production", None))
            }).collect();
            if tx.publish_many(out).is_err() { return; }
        }
    });
    for (conns, window, each) in [(1usize, 1usize, 3000usize), (8, 8, 10000), (8, 32, 10000)] {
        let began = Instant::now();
        let mut tasks = Vec::new();
        for c in 0..conns {
            let mut cl = f.client(V4, &format!("p{c}"), "planner-1").await;
            tasks.push(tokio::spawn(async move {
                let mut lat = Vec::new();
                let mut sent = std::collections::VecDeque::new();
                let mut buf = vec![0u8; 65536];
                let (mut n, mut acked) = (0usize, 0usize);
                while acked < each {
                    let mut out = Vec::new();
                    while n < each && n - acked < window {
                        n += 1;
                        let id = (c * 1_000_000 + window * 100_000 + n) as u32;
                        out.extend(cl.publish_bytes(b"mw/v1/plant-1/cmd/planner-1/production", &command(id), 2, (n % 60000 + 1) as u16, &[]));
                        sent.push_back(Instant::now());
                    }
                    if !out.is_empty() { cl.stream.write_all(&out).await.unwrap(); }
                    let r = cl.stream.read(&mut buf).await.unwrap();
                    assert!(r > 0);
                    for _ in 0..r / 4 { acked += 1; lat.push(sent.pop_front().unwrap().elapsed()); }
                }
                lat
            }));
        }
        let mut lat = Vec::new();
        for t in tasks { lat.extend(t.await.unwrap()); }
        lat.sort();
        println!("{conns}x{window}: {:.0}/s p50 {:?} p99 {:?}", lat.len() as f64 / began.elapsed().as_secs_f64(), lat[lat.len()/2], lat[lat.len()*99/100]);
    }
}
