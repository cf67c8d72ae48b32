// SPDX-License-Identifier: Apache-2.0
// Snapshots as folders: a file `manifest` and one for each chunk.
#include "node/cli/snapshot_command.hpp"

#include <filesystem>

#include <boost/json.hpp>

#include "node/config/genesis.hpp"
#include "node/sync/snapshot_files.hpp"
#include "node/wallet/files.hpp"
#include "state/snapshot.hpp"

namespace trainyard::node::cli {
namespace {

namespace json = boost::json;
constexpr size_t kGenesisMax = 64u << 20;

Result<std::unique_ptr<state::Kv>, std::string> open_chain(const std::string& datadir) {
    auto kv = state::open_leveldb(datadir + "/chain");
    if (kv) return std::move(*kv);
    if (kv.error() == state::KvError::locked)
        return unexpected(datadir + ": a node has it open; stop that first");
    return unexpected(datadir + "/chain: " + std::string(state::to_text(kv.error())));
}

void tell(const Output& out, uint64_t height, const Hash& hash, const Hash& root, size_t chunks) {
    if (out.json) {
        out.line(json::serialize(json::object{{"height", height},
                                              {"hash", to_hex0x(hash.bytes)},
                                              {"stateRoot", to_hex0x(root.bytes)},
                                              {"chunks", chunks}}));
        return;
    }
    out.line("height      " + std::to_string(height));
    out.line("hash        " + to_hex0x(hash.bytes));
    out.line("state root  " + to_hex0x(root.bytes));
    out.line("chunks      " + std::to_string(chunks));
}

Result<state::CheckedManifest, std::string> read_manifest(const SnapshotArgs& args) {
    auto checked = sync::read_manifest(args.folder);
    if (!checked) return checked;
    if (args.hash.empty()) return checked;
    const auto due = fixed_from_hex<Hash>(args.hash);
    if (!due) return unexpected(std::string("--hash is 32 bytes in hexadecimal"));
    if (*due != checked->hash)
        return unexpected("the snapshot is of another block: " + to_hex0x(checked->hash.bytes));
    return checked;
}

/// All chunks through a reader, which writes to `into` if it is not null.
Result<Done, std::string> read_chunks(const Output& out, const std::string& folder,
                                      const state::CheckedManifest& manifest, state::Kv* into) {
    state::SnapshotReader reader(manifest, into);
    const size_t count = manifest.manifest.chunks.size();
    ProgressLine progress(out);
    for (size_t i = 0; i < count; ++i) {
        const auto chunk = sync::read_whole(sync::chunk_path(folder, i), state::kChunkBytesMax);
        if (!chunk) return unexpected(chunk.error());
        if (const auto added = reader.add(*chunk); !added) return unexpected(added.error());
        progress.show("chunk " + std::to_string(i + 1) + " of " + std::to_string(count));
    }
    progress.clear();
    const auto counts = reader.finish();
    if (!counts) return unexpected(counts.error());
    out.say(std::to_string(counts->accounts) + " accounts, " + std::to_string(counts->slots) +
            " slots and " + std::to_string(counts->codes) + " codes");
    return Done{};
}

bool is_empty(const state::Kv& kv) {
    bool empty = true;
    kv.scan({}, [&](BytesView, BytesView) { return empty = false; });
    return empty;
}

Result<Done, std::string> check_first_block(const SnapshotArgs& args,
                                            const state::CheckedManifest& manifest) {
    const auto text = wallet::read_text(args.genesis, kGenesisMax);
    if (!text) return unexpected(text.error().text);
    const auto genesis = config::parse_genesis(*text);
    if (!genesis) return unexpected(args.genesis + ": " + genesis.error().text());
    const auto hash = config::check_genesis(*genesis);
    if (!hash) return unexpected(args.genesis + ": " + hash.error().text());
    if (*hash == hash_header(manifest.first.header)) return Done{};
    return unexpected("the snapshot is of another chain than " + args.genesis +
                      ": its block 0 is " + to_hex0x(hash_header(manifest.first.header).bytes));
}

}  // namespace

int run_snapshot_export(const Output& out, const SnapshotArgs& args) {
    if (!std::filesystem::exists(args.datadir + "/chain"))
        return out.fail("'" + args.datadir + "' is no data folder of a node");
    if (std::filesystem::exists(sync::manifest_path(args.folder)))
        return out.fail("'" + args.folder + "' holds a snapshot already: name another folder");
    const auto kv = open_chain(args.datadir);
    if (!kv) return out.fail(kv.error());
    const auto world = state::World::open(**kv);
    if (!world) return out.fail(state::to_text(world.error()));
    const auto head = (*world)->head();
    if (!head) return out.fail("the store of '" + args.datadir + "' is empty: it has no block");
    const uint64_t number = head->header.number;
    const auto tables = (*world)->freeze(number);
    if (!tables) return out.fail(state::to_text(tables.error()));
    if (const auto made = wallet::make_folder(args.folder); !made)
        return out.fail(made.error().text);
    size_t count = 0;
    const auto manifest = state::export_snapshot(
        **world, **tables, number, [&](const Bytes& chunk) -> Result<Done, std::string> {
            return sync::write_whole(sync::chunk_path(args.folder, count++), chunk);
        });
    if (!manifest) return out.fail(manifest.error());
    // The manifest comes last: a folder without one is no snapshot.
    const auto written =
        sync::write_whole(sync::manifest_path(args.folder), state::encode_manifest(*manifest));
    if (!written) return out.fail(written.error());
    tell(out, number, head->hash, head->header.state_root, count);
    return kOk;
}

int run_snapshot_verify(const Output& out, const SnapshotArgs& args) {
    const auto manifest = read_manifest(args);
    if (!manifest) return out.fail(manifest.error());
    const auto read = read_chunks(out, args.folder, *manifest, nullptr);
    if (!read) return out.fail(args.folder + ": " + read.error());
    const Header& header = manifest->block.header;
    tell(out, header.number, manifest->hash, header.state_root, manifest->manifest.chunks.size());
    return kOk;
}

int run_snapshot_import(const Output& out, const SnapshotArgs& args) {
    const auto manifest = read_manifest(args);
    if (!manifest) return out.fail(manifest.error());
    if (const auto same = check_first_block(args, *manifest); !same) return out.fail(same.error());
    if (const auto made = wallet::make_folder(args.datadir); !made)
        return out.fail(made.error().text);
    const auto kv = open_chain(args.datadir);
    if (!kv) return out.fail(kv.error());
    if (!is_empty(**kv))
        return out.fail("'" + args.datadir +
                        "/chain' is not empty: name another data folder, or remove that one (also "
                        "after an import that was cut off)");
    const auto read = read_chunks(out, args.folder, *manifest, kv->get());
    if (!read)
        return out.fail(args.folder + ": " + read.error() + "; remove '" + args.datadir +
                        "/chain' before you try another snapshot");
    const Header& header = manifest->block.header;
    tell(out, header.number, manifest->hash, header.state_root, manifest->manifest.chunks.size());
    if (args.hash.empty())
        out.say(
            "Compare the hash with one from somebody you trust: nothing else says that this "
            "block is final.");
    return kOk;
}

}  // namespace trainyard::node::cli
