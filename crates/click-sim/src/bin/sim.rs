fn main() {
    let a: Vec<u64> = std::env::args().skip(1).map(|x| x.parse().unwrap()).collect();
    std::panic::set_hook(Box::new(|_| {}));
    let t = std::time::Instant::now();
    let (mut bad, mut acked, mut restarts, mut records) = (0, 0, 0, 0);
    for seed in a[0]..a[1] {
        let plan = click_sim::world::Plan::from_seed(seed);
        match click_sim::world::play(&plan) {
            Ok(o) => {
                acked += o.acknowledged;
                restarts += o.restarts;
                records += o.records;
            }
            Err(e) => {
                bad += 1;
                println!("seed {seed}: {}", e.chars().take(600).collect::<String>());
                if a.len() > 2 {
                    let (p, e) = click_sim::world::shrink(&plan, e, 400);
                    for x in &p.actions {
                        println!("  {x}");
                    }
                    println!("{e}");
                }
            }
        }
    }
    println!(
        "{bad} bad of {}; {} acked {} restarts {} records; {:.1}/s",
        a[1] - a[0],
        acked,
        restarts,
        records,
        (a[1] - a[0]) as f64 / t.elapsed().as_secs_f64()
    );
}
