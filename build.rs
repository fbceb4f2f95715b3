//! Lets the program find oneDNN's library where `scripts/onednn.sh` put it, and sends CTranslate2's narrow products
//! through `src/asr/ct2/narrow.rs`.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=.cargo/config.toml");
    if std::env::var_os("CARGO_FEATURE_ONEDNN").is_none() {
        return;
    }
    if std::env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "linux") {
        println!("cargo::rustc-link-arg=-Wl,--wrap=dnnl_gemm_u8s8s32");
    }
    // Not through RUSTFLAGS: a change there rebuilds every dependency.
    let config = std::fs::read_to_string(".cargo/config.toml").unwrap_or_default();
    let library = config.lines().find_map(|line| {
        let (key, value) = line.split_once('=')?;
        (key.trim() == "LIBRARY_PATH").then(|| value.trim().trim_matches('"').to_owned())
    });
    match library {
        Some(path) => println!("cargo::rustc-link-arg=-Wl,-rpath,{path}"),
        None => println!(
            "cargo::warning=feature `onednn` without scripts/onednn.sh: oneDNN itself is compiled (long)"
        ),
    }
}
