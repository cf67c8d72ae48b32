// SPDX-License-Identifier: Apache-2.0
// `trainyard slashing-protection`: the signing database out to JSON, and JSON into it.
#include <algorithm>

#include "node/cli/commands.hpp"
#include "node/signer/interchange.hpp"
#include "node/wallet/files.hpp"
#include "state/world.hpp"

namespace trainyard::node::cli {
namespace {

using signer::SigningDb;

Result<std::unique_ptr<state::Kv>, std::string> open_votes(const std::string& datadir) {
    const std::string path = datadir + "/votes";
    auto kv = state::open_leveldb(path);
    if (kv) return std::move(*kv);
    if (kv.error() == state::KvError::locked)
        return unexpected(path + ": a node or signer has it open; stop that first");
    return unexpected(path + ": " + std::string(state::to_text(kv.error())));
}

Result<Done, std::string> write_out(const Output& out, const ProtectionArgs& args,
                                    const std::string& json) {
    if (args.file == "-") {
        out.line(json.substr(0, json.size() - 1));
        if (wrote_all_lines()) return Done{};
        return unexpected(std::string("stdout did not take all of the export"));
    }
    if (auto done = wallet::write_text(args.file, json); !done)
        return unexpected(done.error().text);
    return Done{};
}

/// The entry of the file that belongs to the database, or the only one for a fresh database.
Result<signer::KeyHistory, std::string> entry_for(const signer::Interchange& file,
                                                  const std::optional<signer::Owner>& owner,
                                                  const std::string& pubkey) {
    const auto wanted = owner ? std::optional(owner->key) : fixed_from_hex<PublicKey>(pubkey);
    if (!owner && !pubkey.empty() && !wanted)
        return unexpected(std::string("--pubkey is 33 bytes in hexadecimal"));
    if (owner && owner->chain != file.chain)
        return unexpected(std::string("the file is of another chain than this database"));
    if (!wanted && file.keys.size() == 1) return file.keys[0];
    if (!wanted)
        return unexpected("the file has " + std::to_string(file.keys.size()) +
                          " keys; name one with --pubkey");
    const auto found = std::find_if(file.keys.begin(), file.keys.end(),
                                    [&](const auto& entry) { return entry.key == *wanted; });
    if (found == file.keys.end())
        return unexpected("the file says nothing of key " + to_hex0x(wanted->bytes));
    return *found;
}

}  // namespace

int run_protection_export(const Output& out, const ProtectionArgs& args) {
    if (!wallet::file_exists(args.datadir + "/votes"))
        return out.fail("'" + args.datadir + "' is no data folder of a node or signer");
    const auto kv = open_votes(args.datadir);
    if (!kv) return out.fail(kv.error());
    const auto owner = SigningDb::owner_of(**kv);
    if (!owner) return out.fail("the signing database cannot be read: " + owner.error());
    if (!*owner) return out.fail("no key has signed with this data folder");
    const auto db = SigningDb::open(**kv, **owner, state::Durability::synced);
    if (!db) return out.fail(db.error());
    const auto history = (*db)->history();
    const auto json = signer::write_interchange({(*owner)->chain, {{(*owner)->key, history}}});
    if (auto done = write_out(out, args, json); !done) return out.fail(done.error());
    if (args.retire && !(*db)->raise_mark(signer::kNoMore))
        return out.fail("the database cannot be written, so the key is NOT retired here");
    out.say(std::to_string(history.views.size()) + " views exported" +
            (args.retire ? "; this folder will sign no more" : ""));
    return kOk;
}

int run_protection_import(const Output& out, const ProtectionArgs& args) {
    const auto text = wallet::read_text(args.file, signer::kInterchangeBytesMax);
    if (!text) return out.fail(text.error().text);
    const auto file = signer::parse_interchange(*text);
    if (!file) return out.fail(args.file + ": " + file.error());
    if (auto made = wallet::make_folder(args.datadir); !made) return out.fail(made.error().text);
    const auto kv = open_votes(args.datadir);
    if (!kv) return out.fail(kv.error());
    const auto owner = SigningDb::owner_of(**kv);
    if (!owner) return out.fail("the signing database cannot be read: " + owner.error());
    const auto entry = entry_for(*file, *owner, args.pubkey);
    if (!entry) return out.fail(args.file + ": " + entry.error());
    const auto db = SigningDb::open(**kv, {file->chain, entry->key}, state::Durability::synced);
    if (!db) return out.fail(db.error());
    const auto conflicts = (*db)->merge_in(entry->history);
    if (!conflicts) return out.fail("the database cannot be written: check the disk");
    for (const auto& at : *conflicts)
        out.say("epoch " + std::to_string(at.epoch.value) + ", view " +
                std::to_string(at.view.value) +
                ": the file and this database contradict each other; the key has broken a voting "
                "rule there and can be slashed for it");
    const auto history = (*db)->history();
    const std::string imported = std::to_string(entry->history.views.size()) + " views imported; ";
    if (history.mark == signer::kNoMore)
        out.say(imported + "this folder was retired: its key signs nothing here any more");
    else
        out.say(imported + "nothing below epoch " + std::to_string(history.mark.epoch.value) +
                ", view " + std::to_string(history.mark.view.value) + " is signed");
    return kOk;
}

}  // namespace trainyard::node::cli
