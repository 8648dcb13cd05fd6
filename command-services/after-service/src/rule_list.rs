//! The rules of after-service in the order of the business's own numbering, and the test that each one
//! has a test of its name. A rule without a number in its command goes by the command's id.

/// Invariants, tickets, maintenance plans.
const RULES: &[&str] = &[
    "t1", "t2", "t3", "t4", "t5", "t6", "tk_01_r1", "tk_01_r2", "tk_01_r3", "tk_01_r4", "tk_02", "tk_03", "tk_04_r1",
    "tk_05_r1", "tk_05_r2", "tk_06_r1", "tk_06_r2", "tk_06_r3", "tk_07", "tk_08", "tk_09", "tk_10_r1", "tk_10_r2",
    "tk_10_r3", "tk_11_r1", "tk_12", "tk_13_r1", "tk_13_r2", "tk_13_r3", "tk_14", "tk_15", "tk_16", "tk_17_r1",
    "tk_17_r2", "tk_17_r3", "tk_18", "tk_19", "tk_20", "tk_21", "tk_22", "tk_23_r1", "tk_23_r2", "tk_23_r3",
    "tk_23_r4", "tk_24", "tk_25", "tk_26", "tk_27", "tk_28", "tk_29_r1", "tk_29_r2", "tk_29_r3", "tk_30", "tk_31_r1",
    "tk_31_r2", "tk_32", "tk_33", "tk_33_r1", "tk_33_r2", "tk_34", "tk_35", "tk_36", "tk_36_r1", "tk_37", "tk_37_r1",
    "tk_38_r1", "tk_39_r1", "tk_39_r2", "tk_39_r3", "tk_39_r4", "tk_39_r5", "tk_40", "tk_41_r1", "tk_42", "tk_43",
    "tk_44", "tk_45", "tk_45_r1", "tk_46", "tk_47", "tk_48", "tk_49", "tk_50", "mp_01", "mp_02", "mp_03", "mp_04",
    "mp_05", "mp_06", "mp_07",
];

/// The sources of this crate.
fn sources(dir: &std::path::Path, out: &mut Vec<String>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, out);
        } else {
            out.push(std::fs::read_to_string(path).unwrap());
        }
    }
}

#[test]
fn every_rule_has_a_test_of_its_name() {
    let mut all = Vec::new();
    sources(std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src")), &mut all);
    for rule in RULES {
        let name = format!("fn {rule}_");
        assert!(all.iter().any(|s| s.contains(&name)), "no test begins with {rule}_");
    }
    // No rule id is used in the code and left out of the list.
    for source in &all {
        for prefix in ["TK-", "MP-"] {
            for id in source.split(&format!("guard(\"{prefix}")).skip(1).filter_map(|s| s.split('"').next()) {
                let id = format!("{prefix}{id}").to_lowercase().replace(['-', '.'], "_");
                let known = RULES.iter().any(|r| *r == id || id.starts_with(&format!("{r}_r")));
                assert!(known, "{id} is not in the list");
            }
        }
    }
}
