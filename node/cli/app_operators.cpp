// SPDX-License-Identifier: Apache-2.0
// Flags and help of keys, stake, genesis, and of what runs beside a node.
#include "node/cli/app_arguments.hpp"

namespace trainyard::node::cli {

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
    add_key(send, a.send.key)->required();
    send->add_option("to", a.send.to, "address")->required()->check(an_address());
    send->add_option("--amount", a.send.amount, "coins")->required();
    auto* balance = command(
        *account, "balance",
        "coins of an account, what market and stake hold of it, and how to fetch that",
        "trainyard account balance 0x70997970c51812dc3a010c7d01b50e0d17dc79c8\n"
        "  trainyard account balance --key dev:1 --json",
        [&a] { return run_account_balance(a.out, a.balance); }, a);
    add_rpc(balance, a.balance.rpc);
    balance->add_option("address", a.balance.address, "the account [that of --key]")
        ->check(an_address());
    add_key(balance, a.balance.key);
    for (auto* sub : {made, import, list})
        sub->add_option("--keystore", a.account.folder,
                        "folder of keystores [keystore in $TRAINYARD_HOME, or in trainyard of "
                        "$XDG_DATA_HOME or ~/.local/share]");
    validator->add_option("--keystore", a.account.folder, "folder to make them in [keys]");
    for (auto* sub : {made, import, show})
        sub->add_option("--password-file", a.account.password_file, "file with the password");
    for (auto* sub : {made, import, validator})
        sub->add_flag("--light", a.account.light, "cheap key derivation, for tests only");
}

namespace {

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
        add_key(sub, v.key)->required();
        sub->add_option("operator", v.operator_address, "account of the validator [yourself]")
            ->check(an_address());
    }
    for (auto* sub : {give, take})
        sub->add_option("--amount", v.amount, "coins; undelegate also takes `all`")->required();
}

}  // namespace

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
    status->add_option("operator", v.operator_address, "account of the validator [yourself]")
        ->check(an_address());
    auto* list = command(
        *validator, "list", "all candidates, the heaviest first", "trainyard validator list --json",
        [&a] { return run_validator_list(a.out, a.validator); }, a);
    for (auto* sub : {join, commission, unjail, status, list}) add_rpc(sub, v.rpc);
    for (auto* sub : {commission, unjail}) add_key(sub, v.key)->required();
    add_key(status, v.key);
}

void add_genesis(CLI::App& app, Arguments& a) {
    auto* genesis = group(app, "genesis", "the first block");
    auto* build = command(
        *genesis, "build", "run the system contracts' constructors",
        "trainyard genesis build --validator keys1@10.0.0.1:30303 --out genesis.json",
        [&a] { return run_genesis_build(a.out, a.genesis); }, a);
    build->add_option("--spec", a.genesis.spec, "chain spec; default: the devnet's");
    build
        ->add_option("--set", a.genesis.settings,
                     "another value for a number of the spec or its contracts, such as "
                     "blockIntervalMs or Beacon.cutoff")
        ->type_name("NAME=NUMBER");
    build->add_option("--artifacts", a.genesis.artifacts, "folder of compiled contracts");
    build->add_option("--validator", a.genesis.validators, "<folder of keystores>@host:port")
        ->required();
    build->add_option("--stake", a.genesis.stake, "coins of each validator")->capture_default_str();
    build->add_option("--timestamp", a.genesis.timestamp, "of block 0, unix seconds [now]");
    build->add_option("--seed", a.genesis.seed,
                      "of the chain's randomness, 32 bytes in hexadecimal");
    build->add_option("--out", a.genesis.out, "file to write")->capture_default_str();
    auto* check = command(
        *genesis, "check", "compute the hash of block 0 and compare it",
        "trainyard genesis check genesis.json",
        [&a] { return run_genesis_check(a.out, a.genesis); }, a);
    check->add_option("file", a.genesis.file, "genesis file")->required();
    auto* wallet = command(
        *genesis, "wallet", "a running chain for wallets (EIP-3085), or for viem",
        "trainyard genesis wallet --url https://rpc.example.org\n"
        "  trainyard genesis wallet --viem > chain.mjs",
        [&a] { return run_genesis_wallet(a.out, a.genesis); }, a);
    add_rpc(wallet, a.genesis.rpc);
    wallet->add_option("--url", a.genesis.urls,
                       "of the RPC that wallets shall use [that of --rpc]");
    wallet->add_option("--name", a.genesis.name, "of the chain [Trainyard and its number]");
    wallet->add_option("--symbol", a.genesis.symbol, "of its coin")->capture_default_str();
    wallet->add_flag("--viem", a.genesis.viem, "a module that exports the chain for viem");
}

void add_status(CLI::App& app, Arguments& a) {
    auto* status = command(
        app, "status", "is a node well? One screen, and an exit code for scripts",
        "trainyard status --rpc http://127.0.0.1:8545\n"
        "Exit codes: 0 well, 1 no answer, 2 wrong usage, 3 stands still, 4 validator jailed or "
        "tombstoned,\n  5 validator does not vote, 6 nothing becomes final, 7 catches up, 8 a "
        "warning",
        [&a] { return run_status(a.out, a.status); }, a);
    add_rpc(status, a.status.rpc);
}

void add_peers(CLI::App& app, Arguments& a) {
    auto* peers = app.add_subcommand("peers", "who a node talks to, who is refused and why");
    peers->require_subcommand(0, 1);
    peers->footer("Example:\n  trainyard peers --rpc http://127.0.0.1:8545");
    peers->callback([&a] {
        if (!a.run) a.run = [&a] { return run_peers_list(a.out, a.peers); };
    });
    const std::string key = "02ab…";  // of 66 digits
    auto* add = command(
        *peers, "add", "dial a peer until it answers; forgotten when the node ends",
        "trainyard peers add " + key + "@10.0.0.7:30303",
        [&a] { return run_peers_add(a.out, a.peers); }, a);
    auto* remove = command(
        *peers, "remove", "end dialling and connection of a peer", "trainyard peers remove " + key,
        [&a] { return run_peers_remove(a.out, a.peers); }, a);
    auto* ban = command(
        *peers, "ban", "refuse a peer for a time",
        "trainyard peers ban " + key + " --seconds 3600 --reason spam",
        [&a] { return run_peers_ban(a.out, a.peers); }, a);
    auto* unban = command(
        *peers, "unban", "lift a ban", "trainyard peers unban " + key,
        [&a] { return run_peers_unban(a.out, a.peers); }, a);
    for (auto* sub : {peers, add, remove, ban, unban}) add_rpc(sub, a.peers.rpc);
    for (auto* sub : {add, remove, ban, unban})
        sub->add_option("peer", a.peers.peer,
                        sub == add ? "<public key>@host:port" : "its public key, or how it begins")
            ->required();
    ban->add_option("--seconds", a.peers.seconds, "how long")->capture_default_str();
    ban->add_option("--reason", a.peers.reason, "why")->capture_default_str();
}

void add_debug(CLI::App& app, Arguments& a) {
    auto* debug = group(app, "debug", "for those who help");
    auto* bundle = command(
        *debug, "bundle",
        "state, metrics, settings and log of a node in a .tar.gz, without secrets",
        "trainyard debug bundle --config node.toml --log node.log --out bundle.tar.gz",
        [&a] { return run_debug_bundle(a.out, a.debug); }, a);
    add_rpc(bundle, a.debug.rpc);
    bundle->add_option("--config", a.debug.config, "settings file of the node");
    bundle->add_option("--datadir", a.debug.datadir, "its data folder [that of the settings]");
    bundle->add_option("--log", a.debug.log, "file with its log; the last 4 MiB are taken");
    bundle->add_option("--out", a.debug.out, "archive to write")->capture_default_str();
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

}  // namespace trainyard::node::cli
