// SPDX-License-Identifier: Apache-2.0
// Flags and help of every command; the only file that sees CLI11.
#include "node/cli/app.hpp"

#include <algorithm>
#include <cstdlib>
#include <functional>

#include <CLI/CLI.hpp>

#include "node/cli/commands.hpp"
#include "node/cli/completion.hpp"
#include "node/cli/foreign_command.hpp"
#include "node/cli/node_command.hpp"
#include "node/cli/snapshot_command.hpp"
#include "node/cli/version.hpp"
#include "node/config/node_config.hpp"
#include "node/wallet/files.hpp"

namespace trainyard::node::cli {
namespace {

/// What the chosen command runs; set by the callback of the subcommand that was given.
using Run = std::function<int()>;

/// What the command line says about one setting of the node.
struct NodeFlag {
    std::string key;
    std::vector<std::string> values;
};

/// All arguments live here, so that flags can point at them.
struct Arguments {
    Output out;
    AccountArgs account;
    SendArgs send;
    ProgramArgs program;
    TrainArgs train;
    EvalArgs eval;
    DataArgs data;
    ForeignArgs foreign;
    SampleArgs sample;
    JobArgs job;
    ModelArgs model;
    LightArgs light;
    VerifyArgs verify;
    ProviderArgs provider;
    ValidatorArgs validator;
    ProviderCheckArgs provider_check;
    VerifierArgs verifier;
    GenesisArgs genesis;
    ProtectionArgs protection;
    SignerArgs signer;
    DebugArgs debug;
    DevnetArgs devnet;
    ImportArgs import;
    ServeArgs serve;
    SnapshotArgs snapshot;
    std::string shell;
    std::string config_file;
    bool print_config = false;
    bool no_doppelganger_check = false;
    std::vector<NodeFlag> node;
    Run run;
};

CLI::App* command(CLI::App& parent, const std::string& name, const std::string& help,
                  const std::string& example, Run run, Arguments& a) {
    auto* sub = parent.add_subcommand(name, help);
    if (!example.empty()) sub->footer("Example:\n  " + example);
    if (run) sub->callback([&a, run] { a.run = run; });
    return sub;
}

CLI::App* group(CLI::App& parent, const std::string& name, const std::string& help) {
    auto* sub = parent.add_subcommand(name, help);
    sub->require_subcommand(1);
    return sub;
}

void add_rpc(CLI::App* sub, std::string& rpc) {
    sub->add_option("--rpc", rpc, "URL of a node's JSON-RPC")->capture_default_str();
}

void add_key(CLI::App* sub, KeyChoice& key) {
    sub->add_option("--key", key.key, "keystore file, or dev:0 to dev:9 on a devnet");
    sub->add_option("--password-file", key.password_file, "file with the keystore's password");
}

void add_gpt_sizes(CLI::App* sub, TemplateArgs& g) {
    sub->add_option("--layers", g.layers, "transformer blocks [4]");
    sub->add_option("--width", g.width, "model width [128]");
    sub->add_option("--heads", g.heads, "attention heads [4]");
    sub->add_option("--sequence", g.sequence, "tokens of a sequence [128]");
    sub->add_option("--tokenizer", g.tokenizer, "file of `data prepare --merges`");
}

void add_run(CLI::App* sub, TemplateArgs& g) {
    sub->add_option("--steps", g.steps, "optimiser steps [200]");
    sub->add_option("--micro-batches", g.micro_batches, "micro-batches of a step [4]");
    sub->add_option("--sequences", g.sequences, "sequences of a micro-batch [4]");
    sub->add_option("--segment", g.segment, "steps of a segment [20]");
    sub->add_option("--learning-rate", g.learning_rate, "highest learning rate [by template]");
    sub->add_option("--optimiser", g.optimiser, "adamw, or sgd with momentum [adamw]");
    sub->add_option("--recipe", g.recipe, "rmp-1, or fp32 for comparison")->capture_default_str();
}

void add_gpt(CLI::App* sub, TemplateArgs& g) {
    add_gpt_sizes(sub, g);
    add_run(sub, g);
}

void add_devices(CLI::App* sub, uint32_t& threads, bool& no_cuda) {
    sub->add_option("--threads", threads, "threads of the CPU path")
        ->check(CLI::Range(1, 256))
        ->capture_default_str();
    sub->add_flag("--no-cuda", no_cuda, "use the CPU even where there is a GPU");
}

void add_account(CLI::App& app, Arguments& a) {
    auto* account = group(app, "account", "keystores of accounts");
    auto* made = command(
        *account, "new", "make an account with a random key", "trainyard account new",
        [&a] { return run_account_new(a.out, a.account); }, a);
    auto* import = command(
        *account, "import", "encrypt a private key from a file", "trainyard account import key.hex",
        [&a] { return run_account_import(a.out, a.account); }, a);
    import->add_option("file", a.account.file, "file with 32 bytes in hexadecimal")->required();
    auto* list = command(
        *account, "list", "list the keystores", "trainyard account list",
        [&a] { return run_account_list(a.out, a.account); }, a);
    auto* show = command(
        *account, "show", "open a keystore and show its address",
        "trainyard account show keystore.json", [&a] { return run_account_show(a.out, a.account); },
        a);
    show->add_option("keystore", a.account.file, "keystore file, or dev:N")->required();
    auto* validator = command(
        *account, "validator", "make the four keys of a validator",
        "trainyard account validator --keystore keys",
        [&a] { return run_account_validator(a.out, a.account); }, a);
    auto* send = command(
        *account, "send", "send coins",
        "trainyard account send 0x70997970c51812dc3a010c7d01b50e0d17dc79c8 --amount 1.5 --key "
        "dev:0",
        [&a] { return run_account_send(a.out, a.send); }, a);
    add_rpc(send, a.send.rpc);
    add_key(send, a.send.key);
    send->add_option("to", a.send.to, "address")->required();
    send->add_option("--amount", a.send.amount, "coins")->required();
    for (auto* sub : {made, import, list, validator})
        sub->add_option("--keystore", a.account.folder, "folder of keystores");
    for (auto* sub : {made, import, show})
        sub->add_option("--password-file", a.account.password_file, "file with the password");
    for (auto* sub : {made, import, validator})
        sub->add_flag("--light", a.account.light, "cheap key derivation, for tests only");
}

CLI::App* add_template(CLI::App& made, const std::string& name, const std::string& help,
                       const std::string& example, Arguments& a) {
    auto* sub = command(
        made, name, help, example,
        [&a, name] {
            a.program.gpt.name = name;
            return run_program_new(a.out, a.program);
        },
        a);
    sub->add_option("--data", a.program.data, "data set: text, or a file of `trainyard data`")
        ->required();
    sub->add_option("--out", a.program.out, "file to write")->required();
    return sub;
}

void add_templates(CLI::App& program, Arguments& a) {
    auto* made = group(program, "new", "make a program from a template");
    TemplateArgs& t = a.program.gpt;
    auto* gpt = add_template(*made, "gpt", "decoder-only transformer over bytes or tokens",
                             "trainyard program new gpt --data text.txt --out my.program", a);
    add_gpt(gpt, t);
    auto* mlp = add_template(
        *made, "mlp", "fully connected classifier of images",
        "trainyard program new mlp --data digits.tyd --hidden 256 --out my.program", a);
    mlp->add_option("--layers", t.layers, "hidden layers [2]");
    mlp->add_option("--hidden", t.hidden, "units of a hidden layer [128]");
    auto* cnn =
        add_template(*made, "cnn", "convolutional classifier of images",
                     "trainyard program new cnn --data digits.tyd --blocks 2 --out my.program", a);
    cnn->add_option("--blocks", t.blocks, "blocks; each halves the image [2]");
    cnn->add_option("--channels", t.channels, "channels of the first block [16]");
    auto* diffusion =
        add_template(*made, "diffusion", "generator of images (a small U-Net)",
                     "trainyard data shapes --out shapes.tyd\n  trainyard program new "
                     "diffusion --data shapes.tyd --out my.program",
                     a);
    diffusion->add_option("--channels", t.channels, "channels at full resolution [32]");
    diffusion->add_option("--timesteps", t.timesteps, "steps of the noise schedule [200]");
    for (auto* sub : {mlp, cnn, diffusion}) add_run(sub, t);
}

void add_foreign(CLI::App& program, Arguments& a) {
    auto* import = command(
        program, "import", "a model of another format as a model folder, to go on from",
        "trainyard program import --hf gpt2 --out base\n"
        "  trainyard program import --onnx classifier.onnx --out base",
        [&a] { return run_program_import(a.out, a.foreign); }, a);
    auto* hf = import->add_option("--hf", a.foreign.hugging_face,
                                  "folder with config.json (gpt2 or llama) and model.safetensors");
    import->add_option("--onnx", a.foreign.onnx, "forward graph of an image classifier")
        ->excludes(hf);
    import->add_option("--out", a.foreign.out, "folder to write")->capture_default_str();
    import->add_option("--sequence", a.foreign.sequence, "positions to keep [at most 256]");
}

void add_program(CLI::App& app, Arguments& a) {
    auto* program = group(app, "program", "training programs");
    add_templates(*program, a);
    add_foreign(*program, a);
    auto* finetune = command(
        *program, "finetune", "go on from a model, with LoRA or with every weight",
        "trainyard program finetune --model model --data new.txt --rank 8 --out my.program "
        "--data-out my.tyd",
        [&a] { return run_program_finetune(a.out, a.program); }, a);
    finetune->add_option("--model", a.program.model, "folder of the model")->required();
    finetune->add_option("--data", a.program.data, "data set")->required();
    finetune->add_option("--rank", a.program.rank, "of the updates; 0 trains every weight")
        ->capture_default_str();
    finetune->add_option("--alpha", a.program.alpha, "the updates count alpha / rank")
        ->capture_default_str();
    finetune->add_option("--sequence", a.program.gpt.sequence,
                         "tokens of a sequence [the model's]");
    finetune->add_option("--out", a.program.out, "program to write")->required();
    finetune
        ->add_option("--data-out", a.program.data_out, "data set to write, with the weights in it")
        ->required();
    add_run(finetune, a.program.gpt);
    auto* inspect = command(
        *program, "inspect", "show what a program computes and needs",
        "trainyard program inspect my.program",
        [&a] { return run_program_inspect(a.out, a.program); }, a);
    inspect->add_option("program", a.program.program, "program file")->required();
}

void add_data(CLI::App& app, Arguments& a) {
    auto* group_of_data = group(app, "data", "data sets");
    DataArgs& d = a.data;
    auto* prepare = command(
        *group_of_data, "prepare", "make a data set with an index, and check it",
        "trainyard data prepare texts --merges 1000 --out texts.tyd\n"
        "  trainyard data prepare chats.jsonl --kind jsonl --out chats.tyd\n"
        "  trainyard data prepare photos --kind images --out photos.tyd\n"
        "  trainyard data prepare train-images --kind idx --labels train-labels --out digits.tyd",
        [&a] { return run_data_prepare(a.out, a.data); }, a);
    prepare->add_option("path", d.path, "file or folder")->required();
    prepare->add_option("--kind", d.kind, "text, jsonl, tokens (uint16), images (PNG) or idx")
        ->capture_default_str();
    prepare->add_option("--merges", d.merges, "text, jsonl: train a byte-pair tokenizer [none]");
    prepare->add_option("--field", d.field, "jsonl: member with the text")->capture_default_str();
    prepare->add_option("--vocabulary", d.vocabulary, "tokens: vocabulary [largest + 1]");
    prepare->add_option("--labels", d.labels, "idx: file with the labels");
    prepare->add_option("--classes", d.classes, "idx: number of classes [largest + 1]");
    auto* inspect = command(
        *group_of_data, "inspect", "check a data set and count what is in it",
        "trainyard data inspect photos.tyd --json",
        [&a] { return run_data_inspect(a.out, a.data); }, a);
    inspect->add_option("path", d.path, "data set")->required();
    auto* shapes = command(
        *group_of_data, "shapes", "the built-in example: coloured shapes of 16 x 16",
        "trainyard data shapes --count 4096 --out shapes.tyd",
        [&a] { return run_data_shapes(a.out, a.data); }, a);
    shapes->add_option("--count", d.count, "images")
        ->check(CLI::Range(1, 1000000))
        ->capture_default_str();
    shapes->add_option("--seed", d.seed, "of the drawing")->capture_default_str();
    for (auto* sub : {prepare, shapes})
        sub->add_option("--out", d.out, "file to write")->required();
}

void add_training(CLI::App& app, Arguments& a) {
    auto* train = command(
        app, "train", "train here, without a chain", "trainyard train --data text.txt --out model",
        [&a] { return run_train(a.out, a.train); }, a);
    train->add_option("--data", a.train.data, "data set: text, or a file of `trainyard data`")
        ->required();
    train->add_option("--program", a.train.program, "program file; default: the gpt template");
    train->add_option("--out", a.train.out, "folder for the model")->default_val("model");
    train->add_option("--seed", a.train.seed, "run seed, 32 bytes in hexadecimal");
    train->add_flag("--dry-run", a.train.dry_run, "say what memory and time it would take");
    train
        ->add_option("--checkpoint-every", a.train.checkpoint_every,
                     "steps between checkpoints, from which the same command goes on; 0: none")
        ->capture_default_str();
    add_devices(train, a.train.threads, a.train.no_cuda);
    add_gpt(train, a.train.gpt);
    auto* eval = command(
        app, "eval", "the loss of a model on its held-out records",
        "trainyard eval --model model --data text.txt --json",
        [&a] { return run_eval(a.out, a.eval); }, a);
    eval->add_option("--model", a.eval.model, "model folder")->required();
    eval->add_option("--data", a.eval.data, "the data set it was trained on")->required();
    add_devices(eval, a.eval.threads, a.eval.no_cuda);
    auto* sample = command(
        app, "sample", "generate text or images from a model folder",
        "trainyard sample --model model --prompt 'The licence'\n"
        "  trainyard sample --model model --count 16 --out samples.png",
        [&a] { return run_sample(a.out, a.sample); }, a);
    sample->add_option("--model", a.sample.model, "model folder")->required();
    sample->add_option("--prompt", a.sample.prompt, "text to continue")->capture_default_str();
    sample->add_option("--out", a.sample.out, "PNG file for images")->capture_default_str();
    sample->add_option("--steps", a.sample.steps, "denoising steps of images")
        ->capture_default_str();
    sample->add_option("--scale", a.sample.scale, "pixels per pixel of images")
        ->check(CLI::Range(1, 64))
        ->capture_default_str();
    sample->add_option("--count", a.sample.count, "tokens or images to generate")
        ->check(CLI::Range(1, 1000000))
        ->capture_default_str();
    sample->add_option("--temperature", a.sample.temperature, "0 takes the likeliest token")
        ->check(CLI::Range(0.0, 10.0))
        ->capture_default_str();
    sample->add_option("--seed", a.sample.seed, "of the draw")->capture_default_str();
    sample->add_option("--threads", a.sample.threads, "threads")->capture_default_str();
}

void add_submit(CLI::App& job, Arguments& a) {
    auto* submit = command(
        job, "submit", "publish data and program, fund the job",
        "trainyard job submit --key dev:0 --data text.txt --price 1 --wait",
        [&a] { return run_job_submit(a.out, a.job); }, a);
    add_rpc(submit, a.job.rpc);
    add_key(submit, a.job.key);
    submit->add_option("--data", a.job.data, "file or folder with the text")->required();
    submit->add_option("--program", a.job.program, "program file; default: the gpt template");
    submit->add_option("--price", a.job.price, "coins per segment")->capture_default_str();
    submit->add_option("--audit-fee", a.job.audit_fee, "coins per auditor and segment")
        ->capture_default_str();
    submit->add_option("--provider", a.job.provider, "only this address may take it");
    submit->add_option("--licence", a.job.licence, "SPDX expression")->capture_default_str();
    submit->add_option("--seed", a.job.seed, "client's part of the run seed, in hexadecimal");
    submit->add_option("--segment-blocks", a.job.segment_blocks, "blocks for one segment")
        ->capture_default_str();
    submit->add_option("--deadline-hours", a.job.deadline_hours, "then the rest is refunded")
        ->capture_default_str();
    submit->add_flag("--wait", a.job.wait, "watch until it is closed");
    add_gpt(submit, a.job.gpt);
}

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
    for (auto* sub : {cancel, withdraw}) add_key(sub, a.job.key);
    auto* download = command(
        *job, "download", "the model as a Hugging Face folder",
        "trainyard job download 0 --out model", [&a] { return run_job_download(a.out, a.job); }, a);
    download->add_option("--out", a.job.out, "folder to write")->capture_default_str();
    for (auto* sub : {status, list, cancel, withdraw, download}) add_rpc(sub, a.job.rpc);
    for (auto* sub : {status, cancel, download})
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
    add_key(describe, a.model.key);
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
    light->add_option("--account", a.light.accounts, "prove balance and nonce of this address");
    light->add_flag("--follow", a.light.follow, "stay, and print each final block");
}

void add_verify(CLI::App& app, Arguments& a) {
    auto* verify = command(
        app, "verify", "replay an audit from the chain and the blobs, or check a model",
        "trainyard verify --job 0 --segment 3\n  trainyard verify --model demo-out",
        [&a] { return run_verify(a.out, a.verify); }, a);
    add_rpc(verify, a.verify.rpc);
    auto* job = verify->add_option("--job", a.verify.job, "replay the segments of this job");
    auto* segment =
        verify->add_option("--segment", a.verify.segment, "only this segment")->needs(job);
    verify->add_option("--save", a.verify.save, "also write the case of this segment to a file")
        ->needs(segment);
    verify->add_option("--case", a.verify.case_file, "replay a saved case, without a network")
        ->excludes(job);
    verify->add_option("--model", a.verify.model, "recompute the root of this folder's weights")
        ->excludes(job);
    verify->add_flag("--offline", a.verify.offline, "compare a model with its own proof only");
    add_devices(verify, a.verify.threads, a.verify.no_cuda);
    auto* verifier = command(
        app, "verifier", "test this machine's operators bit for bit, as a node's verifier does",
        "trainyard verifier\n  trainyard verifier --no-cuda --json",
        [&a] { return run_verifier(a.out, a.verifier); }, a);
    verifier->add_option("--fd", a.verifier.fd,
                         "then judge what a node sends over this connected socket");
    add_devices(verifier, a.verifier.threads, a.verifier.no_cuda);
}

void add_provider(CLI::App& app, Arguments& a) {
    auto* p = command(
        app, "provider", "take jobs, train them, be paid",
        "trainyard provider --key dev:1 --stake 100 --datadir provider\n  trainyard provider check",
        {}, a);
    add_rpc(p, a.provider.rpc);
    add_key(p, a.provider.key);
    p->add_option("--datadir", a.provider.datadir, "folder of checkpoints")->capture_default_str();
    p->add_option("--name", a.provider.name, "name in the registry")->capture_default_str();
    p->add_option("--stake", a.provider.stake, "at most so many coins are staked")
        ->capture_default_str();
    p->add_option("--price", a.provider.price, "coins per segment, at least")
        ->capture_default_str();
    p->add_option("--memory-mb", a.provider.memory_mb, "memory for a job")->capture_default_str();
    p->add_flag("--once", a.provider.once, "end after one finished job");
    p->add_option("--fault", a.provider.fault,
                  "TEST ONLY, cheats and loses its stake: skip-steps, reuse-gradients, "
                  "zero-gradients");
    add_devices(p, a.provider.threads, a.provider.no_cuda);
    auto* check = command(
        *p, "check", "test and measure this machine, and say what it could earn",
        "trainyard provider check\n  trainyard provider check --rpc http://127.0.0.1:8545 --json",
        [&a] { return run_provider_check(a.out, a.provider_check); }, a);
    check->add_option("--rpc", a.provider_check.rpc, "URL of a node whose order book is asked");
    check->add_option("--datadir", a.provider_check.datadir, "folder of checkpoints")
        ->capture_default_str();
    check->add_option("--memory-mb", a.provider_check.memory_mb, "memory for a job")
        ->capture_default_str();
    add_devices(check, a.provider_check.threads, a.provider_check.no_cuda);
    // A command's own callback runs after that of its subcommand.
    p->callback([&a, p] {
        if (p->get_subcommands().empty()) a.run = [&a] { return run_provider(a.out, a.provider); };
    });
}

void add_stake_moves(CLI::App& validator, Arguments& a) {
    ValidatorArgs& v = a.validator;
    auto* give = command(
        validator, "delegate", "stake coins with an operator, yourself included",
        "trainyard validator delegate 0x70997970c51812dc3a010c7d01b50e0d17dc79c8 --amount 10 "
        "--key dev:1",
        [&a] { return run_validator_delegate(a.out, a.validator); }, a);
    auto* take = command(
        validator, "undelegate", "start the exit of stake; it waits and can be slashed meanwhile",
        "trainyard validator undelegate 0x70997970c51812dc3a010c7d01b50e0d17dc79c8 --amount all "
        "--key dev:1",
        [&a] { return run_validator_undelegate(a.out, a.validator); }, a);
    auto* pay = command(
        validator, "withdraw", "pay out what is released, and rewards",
        "trainyard validator withdraw 0x70997970c51812dc3a010c7d01b50e0d17dc79c8 --key dev:1",
        [&a] { return run_validator_withdraw(a.out, a.validator); }, a);
    for (auto* sub : {give, take, pay}) {
        add_rpc(sub, v.rpc);
        add_key(sub, v.key);
        sub->add_option("operator", v.operator_address, "account of the validator [yourself]");
    }
    for (auto* sub : {give, take})
        sub->add_option("--amount", v.amount, "coins; undelegate also takes `all`")->required();
}

void add_validator(CLI::App& app, Arguments& a) {
    auto* validator = group(app, "validator", "stake: join as a validator, or back one");
    ValidatorArgs& v = a.validator;
    auto* join = command(
        *validator, "register", "join with the keys of `account validator`",
        "trainyard validator register --keys keys --stake 1000 --commission 5",
        [&a] { return run_validator_register(a.out, a.validator); }, a);
    join->add_option("--keys", v.keys, "folder of `account validator`")->required();
    join->add_option("--stake", v.amount, "coins of its own")->required();
    join->add_option("--commission", v.commission, "percent of the delegators' fees")
        ->capture_default_str();
    add_stake_moves(*validator, a);
    auto* commission = command(
        *validator, "commission", "set the commission; it rises by 0.1 percent an epoch at most",
        "trainyard validator commission 4.5 --key keys/account.json --password-file keys/password",
        [&a] { return run_validator_commission(a.out, a.validator); }, a);
    commission->add_option("percent", v.commission, "percent of the delegators' fees")->required();
    auto* unjail = command(
        *validator, "unjail", "come back after a jail for absence",
        "trainyard validator unjail --key keys/account.json --password-file keys/password",
        [&a] { return run_validator_unjail(a.out, a.validator); }, a);
    auto* status = command(
        *validator, "status", "one validator; with --key also your part in it",
        "trainyard validator status 0x70997970c51812dc3a010c7d01b50e0d17dc79c8 --json",
        [&a] { return run_validator_status(a.out, a.validator); }, a);
    status->add_option("operator", v.operator_address, "account of the validator [yourself]");
    auto* list = command(
        *validator, "list", "all candidates, the heaviest first", "trainyard validator list --json",
        [&a] { return run_validator_list(a.out, a.validator); }, a);
    for (auto* sub : {join, commission, unjail, status, list}) add_rpc(sub, v.rpc);
    for (auto* sub : {commission, unjail, status}) add_key(sub, v.key);
}

void add_genesis(CLI::App& app, Arguments& a) {
    auto* genesis = group(app, "genesis", "the first block");
    auto* build = command(
        *genesis, "build", "run the system contracts' constructors",
        "trainyard genesis build --validator keys1@10.0.0.1:30303 --out genesis.json",
        [&a] { return run_genesis_build(a.out, a.genesis); }, a);
    build->add_option("--spec", a.genesis.spec, "chain spec; default: the devnet's");
    build->add_option("--artifacts", a.genesis.artifacts, "folder of compiled contracts");
    build->add_option("--validator", a.genesis.validators, "<folder of keystores>@host:port")
        ->required();
    build->add_option("--stake", a.genesis.stake, "coins of each validator")->capture_default_str();
    build->add_option("--timestamp", a.genesis.timestamp, "of block 0, unix seconds [now]");
    build->add_option("--seed", a.genesis.seed, "of the chain's randomness, in hexadecimal");
    build->add_option("--out", a.genesis.out, "file to write")->capture_default_str();
    auto* check = command(
        *genesis, "check", "compute the hash of block 0 and compare it",
        "trainyard genesis check genesis.json",
        [&a] { return run_genesis_check(a.out, a.genesis); }, a);
    check->add_option("file", a.genesis.file, "genesis file")->required();
}

void add_debug(CLI::App& app, Arguments& a) {
    auto* debug = group(app, "debug", "for those who help");
    auto* bundle = command(
        *debug, "bundle", "state, metrics, settings and log of a node in a folder, without secrets",
        "trainyard debug bundle --config node.toml --log node.log --out bundle",
        [&a] { return run_debug_bundle(a.out, a.debug); }, a);
    add_rpc(bundle, a.debug.rpc);
    bundle->add_option("--config", a.debug.config, "settings file of the node");
    bundle->add_option("--datadir", a.debug.datadir, "its data folder [that of the settings]");
    bundle->add_option("--log", a.debug.log, "file with its log; the last 4 MiB are taken");
    bundle->add_option("--out", a.debug.out, "folder to make")->capture_default_str();
}

void add_signer(CLI::App& app, Arguments& a) {
    auto* s = command(
        app, "signer", "keep a validator's voting keys in a process of their own",
        "trainyard signer --genesis genesis.json --keys keys --listen unix:/run/trainyard.sock\n"
        "  trainyard signer --genesis genesis.json --keys keys --listen tls:10.0.0.9:30400 "
        "--allow 02ab…",
        [&a] { return run_signer(a.out, a.signer); }, a);
    s->add_option("--genesis", a.signer.genesis, "genesis file of the chain")->required();
    s->add_option("--keys", a.signer.keys, "folder with consensus.json, vrf.json and password")
        ->required();
    s->add_option("--datadir", a.signer.datadir, "folder of the signing database")
        ->capture_default_str();
    s->add_option("--listen", a.signer.listen,
                  "unix:PATH or tls:HOST:PORT [unix:<datadir>/signer.sock]");
    s->add_option("--allow", a.signer.allow, "with tls: P2P key of a node that may ask");
}

void add_protection(CLI::App& app, Arguments& a) {
    auto* protection =
        group(app, "slashing-protection", "what a consensus key has signed, to move it safely");
    auto* out = command(
        *protection, "export", "write the signing database as JSON",
        "trainyard slashing-protection export --datadir data --retire --out votes.json",
        [&a] { return run_protection_export(a.out, a.protection); }, a);
    out->add_option("--out", a.protection.file, "file to write; - is the terminal")
        ->capture_default_str();
    out->add_flag("--retire", a.protection.retire,
                  "this data folder never signs again: the key goes to another machine");
    auto* in = command(
        *protection, "import", "merge a JSON file into the signing database; nothing is loosened",
        "trainyard slashing-protection import votes.json --datadir data",
        [&a] { return run_protection_import(a.out, a.protection); }, a);
    in->add_option("file", a.protection.file, "file of `export`")->required();
    in->add_option("--pubkey", a.protection.pubkey,
                   "consensus key, where the file has several and the folder none");
    for (auto* sub : {out, in})
        sub->add_option("--datadir", a.protection.datadir, "folder of the node or signer")
            ->capture_default_str();
}

void add_import(CLI::App& app, Arguments& a) {
    auto* import = command(
        app, "import", "execute the blocks of a foreign chain from a file",
        "trainyard import --genesis genesis.json --no-seal-check chain.rlp",
        [&a] { return run_import(a.out, a.import); }, a);
    import->add_option("--genesis", a.import.genesis, "chain spec in geth's format")->required();
    import
        ->add_option("--datadir", a.import.datadir,
                     "folder for the chain; continued if it is there")
        ->capture_default_str();
    import->add_flag("--no-seal-check", a.import.no_seal_check,
                     "trust the file: proof of work and beacon seals are not checked");
    import->add_option("file", a.import.file, "concatenated RLP of blocks")->required();
    auto* serve = command(
        app, "serve", "JSON-RPC over an imported chain",
        "trainyard serve --genesis genesis.json --datadir trainyard-import",
        [&a] { return run_serve(a.out, a.serve); }, a);
    serve->add_option("--genesis", a.serve.genesis, "chain spec in geth's format")->required();
    serve->add_option("--datadir", a.serve.datadir, "folder that `import` made")
        ->capture_default_str();
    serve->add_option("--http-addr", a.serve.http_addr, "listens here")->capture_default_str();
    serve->add_option("--http-port", a.serve.http_port, "0: any free one")->capture_default_str();
}

void add_snapshot(CLI::App& app, Arguments& a) {
    auto* snapshot = group(app, "snapshot", "the state of a block as files, to start a node from");
    auto* out = command(
        *snapshot, "export", "write the state of the last final block; the node is stopped",
        "trainyard snapshot export --datadir data --out snapshot",
        [&a] { return run_snapshot_export(a.out, a.snapshot); }, a);
    out->add_option("--out", a.snapshot.folder, "folder to write")->required();
    auto* verify = command(
        *snapshot, "verify", "check every record against the block's state root",
        "trainyard snapshot verify snapshot --hash 0x12…",
        [&a] { return run_snapshot_verify(a.out, a.snapshot); }, a);
    auto* in = command(
        *snapshot, "import", "make a data folder that a node starts from",
        "trainyard snapshot import snapshot --datadir data --genesis genesis.json --hash 0x12…",
        [&a] { return run_snapshot_import(a.out, a.snapshot); }, a);
    in->add_option("--genesis", a.snapshot.genesis, "genesis file of the chain")->required();
    for (auto* sub : {verify, in}) {
        sub->add_option("folder", a.snapshot.folder, "folder of `export`")->required();
        sub->add_option("--hash", a.snapshot.hash, "of the block that it must be");
    }
    for (auto* sub : {out, in})
        sub->add_option("--datadir", a.snapshot.datadir, "data folder of the node")
            ->capture_default_str();
}

void add_devnet(CLI::App& app, Arguments& a) {
    auto* devnet = group(app, "devnet", "a whole network on this machine");
    auto* init = command(
        *devnet, "init", "make genesis, keys and settings", "trainyard devnet init --dir devnet",
        [&a] { return run_devnet_init(a.out, a.devnet); }, a);
    auto* up = command(
        *devnet, "up", "run it until Ctrl-C; made first if it is not there",
        "trainyard devnet up --dir devnet --http-port 8545",
        [&a] { return run_devnet_up(a.out, a.devnet); }, a);
    auto* demo = command(
        *devnet, "demo", "train a model for a funded contract, and catch a cheat",
        "trainyard devnet demo --data book.txt --keep",
        [&a] { return run_devnet_demo(a.out, a.devnet); }, a);
    for (auto* sub : {init, up}) sub->add_option("--dir", a.devnet.folder)->capture_default_str();
    for (auto* sub : {init, up, demo}) {
        sub->add_option("--validators", a.devnet.validators, "nodes that vote")
            ->check(CLI::Range(1, 16))
            ->capture_default_str();
        sub->add_option("--http-port", a.devnet.http_port, "of the first node; 0: free ports")
            ->capture_default_str();
        sub->add_option("--seed", a.devnet.seed, "of the chain's randomness; 0: random");
    }
    up->add_option("--providers", a.devnet.providers, "providers")->capture_default_str();
    demo->add_option("--data", a.devnet.data, "file or folder with text [common licences]");
    demo->add_option("--out", a.devnet.out, "folder for the model and the receipt")
        ->capture_default_str();
    demo->add_flag("--keep", a.devnet.keep, "leave the network running, print its URL");
    demo->add_option("--segments", a.devnet.segments, "segments of the first job")
        ->check(CLI::Range(1, 1000))
        ->capture_default_str();
    demo->add_option("--segment-steps", a.devnet.segment_steps, "steps of a segment")
        ->check(CLI::Range(1, 256))
        ->capture_default_str();
    demo->add_flag("--no-cheat", a.devnet.skip_cheat, "leave out the second job");
    for (auto* sub : {up, demo}) add_devices(sub, a.devnet.threads, a.devnet.no_cuda);
}

int run_configured_node(Arguments& a) {
    config::NodeConfig config;
    if (!a.config_file.empty()) {
        const auto text = wallet::read_text(a.config_file, 1 << 20);
        if (!text) return a.out.fail(text.error().text);
        if (auto done = config::apply_toml(config, *text, a.config_file); !done)
            return a.out.fail(done.error().text()), kUsage;
    }
    const auto lookup = [](const std::string& name) -> std::optional<std::string> {
        const char* value = std::getenv(name.c_str());
        return value == nullptr ? std::nullopt : std::optional<std::string>(value);
    };
    if (auto done = config::apply_environment(config, lookup); !done)
        return a.out.fail(done.error().text()), kUsage;
    for (const auto& [key, values] : a.node) {
        std::string joined;
        for (const auto& value : values) joined += (joined.empty() ? "" : ",") + value;
        if (values.empty()) continue;
        if (auto done = config::apply_setting(config, key, joined, "--" + key); !done)
            return a.out.fail(done.error().text()), kUsage;
    }
    if (a.no_doppelganger_check) config.doppelganger_check = false;
    if (a.print_config) return a.out.line(config::write_toml(config)), kOk;
    return run_node(config);
}

/// "--http.port,--http-port": as the settings file spells it, and as a shell user may.
std::string flag_names(const std::string& key) {
    if (key.find('.') == std::string::npos) return "--" + key;
    std::string dashed = key;
    std::replace(dashed.begin(), dashed.end(), '.', '-');
    return "--" + key + ",--" + dashed;
}

void add_node(CLI::App& app, Arguments& a) {
    auto* node = command(
        app, "node", "run a node; with --keys it is a validator",
        "trainyard node --genesis genesis.json --datadir data --keys keys",
        [&a] { return run_configured_node(a); }, a);
    node->add_option("--config", a.config_file, "TOML file; flags and TRAINYARD_* variables win");
    node->add_flag("--print-config", a.print_config, "print the effective settings and end");
    node->add_flag("--no-doppelganger-check", a.no_doppelganger_check,
                   "vote at once: you are sure that no other machine has the key");
    a.node.reserve(config::settings().size());
    for (const auto& setting : config::settings()) {
        auto& values = a.node.emplace_back(NodeFlag{setting.key, {}}).values;
        const std::string help = setting.help + " (" + config::variable_of(setting) + ")";
        auto* option = node->add_option(flag_names(setting.key), values, help);
        option->type_name("");
        if (setting.is_flag) option->expected(0, 1)->default_str("true");
    }
}

void collect(const CLI::App& app, const std::string& path, std::vector<CommandWords>& out) {
    CommandWords entry{path, {}, app.get_description()};
    for (const auto* sub : app.get_subcommands([](const CLI::App*) { return true; }))
        if (!sub->get_group().empty()) entry.words.push_back(sub->get_name());
    for (const auto* option : app.get_options())
        for (const auto& name : option->get_lnames()) entry.words.push_back("--" + name);
    out.push_back(entry);
    for (const auto* sub : app.get_subcommands([](const CLI::App*) { return true; }))
        if (!sub->get_group().empty())
            collect(*sub, path.empty() ? sub->get_name() : path + " " + sub->get_name(), out);
}

void add_small(CLI::App& app, Arguments& a) {
    auto* completion = command(
        app, "completion", "script for a shell's completion",
        "trainyard completion bash > /etc/bash_completion.d/trainyard",
        [&a, &app] {
            std::vector<CommandWords> words;
            collect(app, "", words);
            auto text = completion_script(a.shell, words);
            text.pop_back();
            a.out.line(text);
            return kOk;
        },
        a);
    completion->add_option("shell", a.shell, "bash, zsh or fish")
        ->required()
        ->check(CLI::IsMember({"bash", "zsh", "fish"}));
    command(
        app, "version", "the version of this program", "",
        [&a] {
            a.out.line(a.out.json ? "{\"version\":\"" + std::string(kVersion) + "\"}"
                                  : "trainyard " + std::string(kVersion));
            return kOk;
        },
        a);
}

}  // namespace

int run_app(int argc, char** argv) {
    CLI::App app{"Trainyard: a proof-of-stake EVM ledger for verifiable AI training", "trainyard"};
    app.footer(
        "Exit codes: 0 done, 1 failed, 2 wrong usage. `trainyard COMMAND --help` has examples.");
    app.require_subcommand(1);
    app.fallthrough();
    Arguments a;
    app.add_flag("--json", a.out.json, "results as JSON, one value per line");
    app.add_flag("-q,--quiet", a.out.quiet, "no messages on stderr but errors");
    app.set_version_flag("--version", "trainyard " + std::string(kVersion));
    add_devnet(app, a);
    add_node(app, a);
    add_provider(app, a);
    add_job(app, a);
    add_model(app, a);
    add_light(app, a);
    add_verify(app, a);
    add_training(app, a);
    add_data(app, a);
    add_program(app, a);
    add_account(app, a);
    add_validator(app, a);
    add_signer(app, a);
    add_debug(app, a);
    add_protection(app, a);
    add_genesis(app, a);
    add_import(app, a);
    add_snapshot(app, a);
    add_small(app, a);
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        const int code = app.exit(error);
        return code == 0 ? kOk : kUsage;
    }
    return a.run ? a.run() : kUsage;
}

}  // namespace trainyard::node::cli
