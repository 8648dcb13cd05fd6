//! The rules of production in the order of the business's own numbering, and the test that each one
//! has a test of its name. A rule without a number in its command goes by the command's id.

/// General rules, invariants, work orders, equipment, units, stock.
const RULES: &[&str] = &[
    "g3", "g4", "g7", "i1", "i2", "i3", "i4", "i5", "i6", "i7", "wo_01_r1", "wo_01_r2", "wo_01_r3", "wo_01_r4",
    "wo_01_r5", "wo_02_r1", "wo_02_r2", "wo_03_r1", "wo_03_r2", "wo_03_r3", "wo_03_r4", "wo_04", "wo_05_r1",
    "wo_05_r2", "wo_05_r3", "wo_06_r1", "wo_06_r2", "wo_06_r3", "wo_06_r4", "wo_07_r1", "wo_08_r1", "wo_08_r2",
    "wo_08_r3", "wo_09", "wo_10", "wo_11_r1", "wo_11_r2", "wo_11_r3", "wo_12_r1", "wo_12_r2", "wo_12_r3", "wo_13",
    "wo_14_r1", "wo_15_r1", "wo_16_r1", "wo_16_r2", "wo_16_r3", "wo_16_r4", "wo_16_r5", "wo_16_r6", "wo_16_r7",
    "wo_17_r1", "wo_17_r2", "wo_17_r3", "wo_18_r1", "wo_18_r2", "wo_18_r3", "wo_19_r1", "wo_19_r2", "wo_19_r3",
    "wo_20", "wo_21_r1", "wo_21_r2", "wo_22", "wo_23", "wo_24_r1", "wo_24_r2", "wo_24_r3", "wo_24_r4", "wo_25_r1",
    "wo_26_r1", "wo_26_r2", "wo_27", "wo_28_r1", "wo_28_r2", "wo_28_r3", "wo_28_r4", "wo_28_r5", "wo_28_r6",
    "wo_28_r7", "wo_28_r8", "wo_29_r1", "wo_29_r2", "wo_30", "wo_31_r1", "wo_31_r2", "wo_31_r3", "wo_31_r4",
    "wo_31_r5", "wo_31_r6", "wo_32_r1", "wo_32_r2", "wo_32_r3", "wo_33_r1", "wo_33_r2", "wo_33_r3", "wo_34_r1",
    "wo_35", "wo_36", "wo_37", "wo_38_r1", "wo_39_r1", "wo_39_r2", "wo_40_r1", "wo_40_r2", "wo_40_r3", "wo_40_r4",
    "wo_41", "wo_42", "wo_43_r1", "wo_43_r2", "wo_43_r3", "wo_43_r4", "wo_44_r1", "wo_44_r2", "wo_45_r1", "wo_45_r2",
    "wo_46_r1", "wo_47", "wo_48", "eq_01", "eq_02", "eq_03", "eq_04", "eq_05", "eq_06", "eq_07", "eq_08", "eq_09",
    "eq_10", "pu_01", "pu_02", "pu_03", "pu_04", "pu_05", "pu_06", "pu_07", "pu_08", "pu_09", "pu_10", "st_01",
    "st_02", "st_03", "st_04", "st_05", "st_06",
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
        let name = format!("    fn {rule}_");
        assert!(all.iter().any(|s| s.contains(&name)), "no test begins with {rule}_");
    }
    // No rule id is used in the code and left out of the list.
    for source in &all {
        for prefix in ["WO-", "EQ-", "PU-", "ST-"] {
            for id in source.split(&format!("guard(\"{prefix}")).skip(1).filter_map(|s| s.split('"').next()) {
                let id = format!("{prefix}{id}").to_lowercase().replace(['-', '.'], "_");
                let known = RULES.iter().any(|r| *r == id || id.starts_with(&format!("{r}_r")));
                assert!(known, "{id} is not in the list");
            }
        }
    }
}
