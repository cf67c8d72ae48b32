// SPDX-License-Identifier: Apache-2.0
// Flags and help of jobs, models, providers, and of checking them.
#include <map>

#include "node/cli/app_arguments.hpp"

namespace trainyard::node::cli {

namespace {

CLI::Validator amount_of_coins() {
    const auto check = [](const std::string& text) -> std::string {
        return parse_coins(text) ? "" : "'" + text + "' is no amount like 1.5 or 3gwei";
    };
    return {check, ""};
}

CLI::Validator bytes_within(size_t least, size_t most) {
    const auto check = [least, most](const std::string& text) -> std::string {
        if (text.size() >= least && text.size() <= most) return "";
        return "has " + std::to_string(text.size()) + " bytes, not " + std::to_string(least) +
               " to " + std::to_string(most);
    };
    return {check, ""};
}

void add_submit(CLI::App& job, Arguments& a) {
    auto* submit = command(job, "submit", "publish data and program, fund the job",
                           "trainyard job submit --key dev:0 --data text.txt --price 1 --wait\n"
                           "  trainyard job submit --key dev:0 --data text.txt --dry-run\n"
                           "  trainyard job submit --data text.txt --print-file > job.toml\n"
                           "  trainyard job submit --file job.toml --key dev:0",
                           {}, a);
    submit->callback([&a, submit] {
        a.run = [&a, submit] {
            if (!a.job_file.print) return run_job_submit(a.out, a.job);
            return a.out.line(flag_file_text(*submit, a.job_file)), kOk;
        };
    });
    add_flag_file(submit, a.job_file);
    add_rpc(submit, a.job.rpc);
    add_key(submit, a.job.key)->required();
    submit->add_option("--data", a.job.data, "file or folder with the text")
        ->type_name("PATH")
        ->required();
    submit->add_option("--program", a.job.program, "program file; default: the gpt template")
        ->type_name("PATH");
    submit->add_option("--price", a.job.price, "coins per segment")
        ->type_name("COINS")
        ->check(amount_of_coins())
        ->capture_default_str();
    submit->add_option("--audit-fee", a.job.audit_fee, "coins per auditor and segment")
        ->type_name("COINS")
        ->check(amount_of_coins())
        ->capture_default_str();
    submit->add_option("--provider", a.job.provider, "only this address may take it")
        ->check(an_address());
    submit->add_option("--licence", a.job.licence, "SPDX expression")->capture_default_str();
    submit
        ->add_option("--seed", a.job.seed,
                     "client's part of the run seed, 32 bytes in hexadecimal [random]")
        ->check(hexadecimal<Hash>("32 bytes in hexadecimal"));
    submit->add_option("--segment-blocks", a.job.segment_blocks, "blocks for one segment")
        ->capture_default_str();
    submit->add_option("--deadline-hours", a.job.deadline_hours, "then the rest is refunded")
        ->check(whole_within(1, JobArgs::kDeadlineHoursMax))
        ->capture_default_str();
    submit->add_flag("--wait", a.job.wait, "watch until it is closed");
    submit->add_flag("--yes", a.job.yes,
                     "do not ask before paying; without a terminal nobody is asked");
    submit->add_flag("--dry-run", a.job.dry_run, "say what it would cost; publish and pay nothing");
    add_gpt(submit, a.job.gpt);
}

}  // namespace

void add_job(CLI::App& app, Arguments& a) {
    auto* job = group(app, "job", "training jobs");
    add_submit(*job, a);
    auto* status = command(
        *job, "status", "one job with its segments", "trainyard job status 0",
        [&a] { return run_job_status(a.out, a.job); }, a);
    status->add_flag("--wait", a.job.wait, "watch until it is closed");
    auto* list = command(
        *job, "list", "all jobs", "trainyard job list --json",
        [&a] { return run_job_list(a.out, a.job); }, a);
    auto* cancel = command(
        *job, "cancel", "stop a job; the unspent escrow comes back",
        "trainyard job cancel 0 --key dev:0", [&a] { return run_job_cancel(a.out, a.job); }, a);
    auto* withdraw = command(
        *job, "withdraw", "take what the market owes you", "trainyard job withdraw --key dev:0",
        [&a] { return run_job_withdraw(a.out, a.job); }, a);
    auto* reclaim = command(
        *job, "reclaim",
        "take back bonds of yours that a job holds and nobody decides any more, as provider, "
        "validator and running verify do by themselves",
        "trainyard job reclaim 7 --key dev:1", [&a] { return run_job_reclaim(a.out, a.job); }, a);
    for (auto* sub : {cancel, withdraw, reclaim}) add_key(sub, a.job.key)->required();
    auto* download = command(
        *job, "download", "the model as a Hugging Face folder",
        "trainyard job download 0 --out model", [&a] { return run_job_download(a.out, a.job); }, a);
    download->add_option("--out", a.job.out, "folder to write")->capture_default_str();
    for (auto* sub : {status, list, cancel, withdraw, reclaim, download}) add_rpc(sub, a.job.rpc);
    for (auto* sub : {status, cancel, reclaim, download})
        sub->add_option("id", a.job.id, "number of the job")->required();
}

void add_model(CLI::App& app, Arguments& a) {
    auto* model = group(app, "model", "trained models and what they were made from");
    auto* list = command(
        *model, "list", "all models", "trainyard model list --json",
        [&a] { return run_model_list(a.out, a.model); }, a);
    auto* show = command(
        *model, "show", "one model with its lineage, checked against the chain",
        "trainyard model show 0", [&a] { return run_model_show(a.out, a.model); }, a);
    auto* describe = command(
        *model, "describe", "title, parents and royalty of a model that you paid for",
        "trainyard model describe 3 --title 'Yard poems' --parent 0 --royalty 2.5 --key dev:0",
        [&a] { return run_model_describe(a.out, a.model); }, a);
    describe->add_option("--title", a.model.title, "letters, digits, space and -._ up to 64");
    describe->add_option("--parent", a.model.parents, "a model that this one continues; only once");
    describe->add_option("--royalty", a.model.royalty, "per cent of resales, at most 10");
    add_key(describe, a.model.key)->required();
    for (auto* sub : {show, describe})
        sub->add_option("token", a.model.token, "number of the model")->required();
    for (auto* sub : {list, show, describe}) add_rpc(sub, a.model.rpc);
}

void add_light(CLI::App& app, Arguments& a) {
    auto* light = command(
        app, "light",
        "follow the chain by certificates and proofs, without trusting the node asked",
        "trainyard light --genesis genesis.json --rpc http://node:8545 --account 0x…\n"
        "  trainyard light --genesis genesis.json --store light.json --follow",
        [&a] { return run_light(a.out, a.light); }, a);
    light->add_option("--genesis", a.light.genesis, "genesis file of the chain")->required();
    add_rpc(light, a.light.rpc);
    light->add_option("--store", a.light.store, "file with what was verified, to go on from");
    light->add_option("--checkpoint", a.light.checkpoint,
                      "NUMBER:HASH of a boundary from someone trusted; it must be on the chain");
    light->add_option("--account", a.light.accounts, "prove balance and nonce of this address")
        ->check(an_address());
    light->add_flag("--follow", a.light.follow, "stay, and print each final block");
}

namespace {

void add_verifier(CLI::App& app, Arguments& a) {
    auto* verifier = command(
        app, "verifier", "test this machine's operators bit for bit, as a node's verifier does",
        "trainyard verifier\n  trainyard verifier --no-cuda --json",
        [&a] { return run_verifier(a.out, a.verifier); }, a);
    verifier->add_option("--fd", a.verifier.fd,
                         "then judge what a node sends over this connected socket");
    verifier->add_option("--memory-mb", a.verifier.memory_mb,
                         "compute activations again rather than take more memory than this");
    verifier
        ->add_option("--sandbox", a.verifier.sandbox,
                     "as verifier.sandbox of a node: auto, on or off")
        ->check(CLI::IsMember({"auto", "on", "off"}))
        ->capture_default_str();
    verifier
        ->add_option("--hide", a.verifier.hidden,
                     "file or folder that the sandbox keeps out of reach wherever it lies; may be "
                     "repeated")
        ->type_name("PATH")
        ->take_all();
    add_devices(verifier, a.verifier.threads, a.verifier.no_cuda);
}

}  // namespace

void add_verify(CLI::App& app, Arguments& a) {
    auto* verify = command(
        app, "verify",
        "replay a job's training bit for bit, challenge what is wrong, or check a model",
        "trainyard verify --job 0\n  trainyard verify --job 0 --all\n"
        "  trainyard verify --job 0 --follow --challenge --key dev:0\n"
        "  trainyard verify --job 0 --follow --dispute --key dev:0\n"
        "  trainyard verify --job 0 --segment 3 --save 3.case\n  trainyard verify --model demo-out",
        [&a] { return run_verify(a.out, a.verify); }, a);
    add_rpc(verify, a.verify.rpc);
    auto* job = verify->add_option("--job", a.verify.job,
                                   "replay this job's committed segments that are not final");
    auto* segment =
        verify->add_option("--segment", a.verify.segment, "only this segment")->needs(job);
    verify->add_option("--segments", a.verify.segments, "only these, as in 2-5")
        ->needs(job)
        ->excludes(segment);
    verify->add_flag("--all", a.verify.final_too, "final segments too, while their states are kept")
        ->needs(job);
    verify->add_flag("--follow", a.verify.follow, "go on with new segments until the job is closed")
        ->needs(job);
    auto* key = add_key(verify, a.verify.key);
    auto* challenge =
        verify
            ->add_flag("--challenge", a.verify.challenge,
                       "stake a bond against an accepted segment that two replays here, the "
                       "second on the CPU, find wrong; says before what it costs and brings")
            ->needs(job)
            ->needs(key);
    verify
        ->add_flag("--dispute", a.verify.dispute,
                   "the same before the referee, which computes: plays until one wrong number is "
                   "left; also against what a committee convicted and its provider appeals")
        ->needs(job)
        ->needs(key)
        ->excludes(challenge);
    auto* yes = verify->add_flag("--yes", a.verify.yes, "do not ask before a segment's first bond");
    yes->needs(key);
    verify
        ->add_option("--bond-max", a.verify.bond_max,
                     "coins: nor before later bonds up to this, so that whoever loses on purpose "
                     "to double them does not keep you away")
        ->needs(yes);
    verify->add_option("--save", a.verify.save, "also write the case of this segment to a file")
        ->needs(segment);
    verify->add_option("--case", a.verify.case_file, "replay a saved case, without a network")
        ->excludes(job);
    verify->add_option("--model", a.verify.model, "recompute the root of this folder's weights")
        ->excludes(job);
    verify->add_flag("--offline", a.verify.offline, "compare a model with its own proof only");
    add_devices(verify, a.verify.threads, a.verify.no_cuda);
    add_verifier(app, a);
}

namespace {

void add_provider_check(CLI::App& provider, Arguments& a) {
    auto* check = command(
        provider, "check", "test and measure this machine, and say what it could earn",
        "trainyard provider check\n  trainyard provider check --rpc http://127.0.0.1:8545 --json",
        [&a] { return run_provider_check(a.out, a.provider_check); }, a);
    check->add_option("--rpc", a.provider_check.rpc, "URL of a node whose order book is asked");
    check->add_option("--datadir", a.provider_check.datadir, "folder of checkpoints")
        ->capture_default_str();
    check->add_option("--memory-mb", a.provider_check.memory_mb, "memory for a job")
        ->capture_default_str();
    add_devices(check, a.provider_check.threads, a.provider_check.no_cuda);
}

void add_provider_earnings(CLI::App& provider, Arguments& a) {
    auto* earnings = command(
        provider, "earnings", "what a provider was paid, what is under audit, and what it lost",
        "trainyard provider earnings 0x70997970c51812dc3a010c7d01b50e0d17dc79c8\n"
        "  trainyard provider earnings --key dev:1 --days 365 --csv > earnings.csv",
        [&a] { return run_provider_earnings(a.out, a.earnings); }, a);
    add_rpc(earnings, a.earnings.rpc);
    earnings->add_option("provider", a.earnings.provider, "its address [that of --key]")
        ->check(an_address());
    add_key(earnings, a.earnings.key);
    earnings->add_option("--days", a.earnings.days, "how far to look back")
        ->check(whole_within(1, 36'500))
        ->capture_default_str();
    earnings->add_flag("--csv", a.earnings.csv,
                       "a row for each segment and whatever else came in or went out");
}

void add_provider_stake(CLI::App& provider, Arguments& a) {
    auto* leave = command(
        provider, "unstake", "let stake leave that no job holds; it is paid after a delay",
        "trainyard provider unstake all --key dev:1",
        [&a] { return run_provider_unstake(a.out, a.stake); }, a);
    leave->add_option("amount", a.stake.amount, "coins, or `all`")->required();
    leave->add_flag("--yes", a.stake.yes,
                    "do not ask where stake that is leaving already begins to wait anew");
    auto* take = command(
        provider, "withdraw", "take stake that has left, and what the market owes you",
        "trainyard provider withdraw --key dev:1",
        [&a] { return run_provider_withdraw(a.out, a.stake); }, a);
    for (auto* sub : {leave, take}) {
        add_rpc(sub, a.stake.rpc);
        add_key(sub, a.stake.key)->required();
    }
}

}  // namespace

void add_provider(CLI::App& app, Arguments& a) {
    auto* p = command(
        app, "provider", "take jobs, train them, be paid",
        "trainyard provider --key dev:1 --stake 100 --datadir provider\n  trainyard provider check",
        {}, a);
    add_rpc(p, a.provider.rpc);
    add_key(p, a.provider.key);
    p->add_option("--datadir", a.provider.datadir, "folder of checkpoints")->capture_default_str();
    p->add_option("--name", a.provider.name, "name in the registry")
        ->check(bytes_within(1, 256))  // Source: ProviderRegistry.sol, register.
        ->capture_default_str();
    p->add_option("--stake", a.provider.stake, "at most so many coins are staked")
        ->capture_default_str();
    p->add_option("--price", a.provider.price, "coins per segment, at least")
        ->capture_default_str();
    p->add_option("--memory-mb", a.provider.memory_mb, "memory for a job")->capture_default_str();
    p->add_option("--fee-max-gwei", a.provider.fee_max_gwei,
                  "highest price of a gas: fees rise up to it until a transaction is in a block")
        ->check(whole_within(1, 1'000'000))
        ->capture_default_str();
    p->add_option("--keep-days", a.provider.keep_days,
                  "days that the model of a finished job stays at the node, at least")
        ->check(whole_within(1, 36'500))
        ->capture_default_str();
    p->add_flag("--once", a.provider.once, "end after one finished job");
    p->add_flag("--take-over", a.provider.take_over,
                "use the key here from now on, and stop a provider that uses it with another "
                "--datadir or on another machine");
    p->add_option("--fault", a.provider.fault,
                  "TEST ONLY, cheats and loses its stake: skip-steps, reuse-gradients, "
                  "zero-gradients, made-up-sums (only a replay shows it), diverge (says that "
                  "training does)");
    add_devices(p, a.provider.threads, a.provider.no_cuda);
    p->add_option("--checksums", a.provider.checksums,
                  "whether products on the GPU are checked, so that a wrong bit costs a step and "
                  "not the bond: where its memory has no ECC (auto), always, never")
        ->transform(CLI::CheckedTransformer(
            std::map<std::string, cuda::Checksums>{{"auto", cuda::Checksums::where_no_ecc},
                                                   {"always", cuda::Checksums::always},
                                                   {"never", cuda::Checksums::never}}))
        ->default_str("auto");
    add_provider_check(*p, a);
    add_provider_earnings(*p, a);
    add_provider_stake(*p, a);
    // A command's own callback runs after that of its subcommand.
    p->callback([&a, p] {
        if (p->get_subcommands().empty()) a.run = [&a] { return run_provider(a.out, a.provider); };
    });
}

}  // namespace trainyard::node::cli
