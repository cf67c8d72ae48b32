// SPDX-License-Identifier: Apache-2.0
// `trainyard import`: executes the blocks of a foreign chain from a file of concatenated RLP.
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <system_error>

#include <boost/json.hpp>

#include "node/chain/import.hpp"
#include "node/cli/commands.hpp"
#include "node/wallet/files.hpp"

namespace trainyard::node::cli {
namespace {

namespace json = boost::json;
constexpr size_t kGenesisMax = 64u << 20;
constexpr uint64_t kBlockMax = 64u << 20;  // bytes; EIP-7934 allows 10 MiB

/// A file of RLP lists one after another, read one by one.
class BlockFile {
public:
    explicit BlockFile(const std::string& path) {
        std::error_code error;
        size_ = std::filesystem::file_size(path, error);
        if (error) why_not_ = error.message();
        if (error == std::errc::not_supported) why_not_ = "it is a device or a pipe, no file";
        if (error) return;  // a pipe would be opened when somebody writes into it
        in_.open(path, std::ios::binary);
        if (!in_) why_not_ = std::generic_category().message(errno);
    }
    /// Empty if it can be read.
    [[nodiscard]] const std::string& why_not() const { return why_not_; }
    [[nodiscard]] uint64_t size() const { return size_; }
    [[nodiscard]] uint64_t offset() const { return offset_; }
    [[nodiscard]] bool at_end() const { return offset_ == size_; }

    /// The bytes of the next list; nullopt if there is none whole.
    [[nodiscard]] std::optional<Bytes> next() {
        constexpr uint8_t kShortList = 0xc0, kLongList = 0xf7;
        Bytes block(1);
        if (!read(block, 0) || block[0] < kShortList) return std::nullopt;
        uint64_t length = block[0] - kShortList;
        if (block[0] > kLongList) {
            block.resize(1 + (block[0] - kLongList));
            if (!read(block, 1)) return std::nullopt;
            length = 0;
            for (size_t i = 1; i < block.size(); ++i) {
                if (length >> 56 != 0) return std::nullopt;
                length = length << 8 | block[i];
            }
        }
        const size_t prefix = block.size();
        if (length > kBlockMax || length > size_ - offset_) return std::nullopt;
        block.resize(prefix + length);
        if (!read(block, prefix)) return std::nullopt;
        return block;
    }

private:
    bool read(Bytes& into, size_t from) {
        const auto count = static_cast<std::streamsize>(into.size() - from);
        in_.read(reinterpret_cast<char*>(into.data()) + from, count);
        offset_ += static_cast<uint64_t>(in_.gcount());
        return in_.gcount() == count;
    }
    std::ifstream in_;
    std::string why_not_;
    uint64_t size_ = 0, offset_ = 0;
};

std::string progress_of(const chain::Importer& importer, const BlockFile& file, uint64_t since_ms) {
    const uint64_t ms = std::max<uint64_t>(steady_ms() - since_ms, 1);
    return bar_text(file.offset(), file.size()) + " block " +
           std::to_string(importer.head().header.number) + "  " +
           std::to_string(importer.gas_used() / 1000 / ms) + " Mgas/s";
}

int tell(const Output& out, const chain::Importer& importer, uint64_t taken, uint64_t known) {
    const auto head = importer.head();
    if (out.json) {
        out.line(json::serialize(json::object{{"height", head.header.number},
                                              {"hash", to_hex0x(head.hash.bytes)},
                                              {"stateRoot", to_hex0x(head.header.state_root.bytes)},
                                              {"imported", taken},
                                              {"known", known},
                                              {"transactions", importer.txs()},
                                              {"gasUsed", importer.gas_used()}}));
        return kOk;
    }
    out.line("imported    " + std::to_string(taken) + " blocks with " +
             std::to_string(importer.txs()) + " transactions" +
             (known == 0 ? "" : ", " + std::to_string(known) + " were there already"));
    out.line("height      " + std::to_string(head.header.number));
    out.line("head        " + to_hex0x(head.hash.bytes));
    out.line("state root  " + to_hex0x(head.header.state_root.bytes));
    return kOk;
}

int import_file(const Output& out, chain::Importer& importer, const std::string& path) {
    BlockFile file(path);
    if (!file.why_not().empty())
        return out.fail(path + ": cannot be read (" + file.why_not() + ")");
    const uint64_t start_ms = steady_ms();
    uint64_t taken = 0, known = 0, shown_ms = 0;
    ProgressLine progress(out);
    while (!file.at_end()) {
        const uint64_t offset = file.offset();
        const auto block = file.next();
        if (!block) {
            progress.clear();
            return out.fail(path + ": no whole block at byte " + std::to_string(offset) +
                            " (is this a file of concatenated block RLPs?)");
        }
        const auto added = importer.add(*block);
        if (!added) {
            progress.clear();
            return out.fail(path + ": " + added.error().what);
        }
        ++(*added == chain::Importer::Added::taken ? taken : known);
        constexpr uint64_t kEveryMs = 100;
        if (steady_ms() - shown_ms < kEveryMs) continue;
        shown_ms = steady_ms();
        progress.show(progress_of(importer, file, start_ms));
    }
    progress.clear();
    return tell(out, importer, taken, known);
}

}  // namespace

int run_import(const Output& out, const ImportArgs& args) {
    if (!args.no_seal_check)
        return out.fail(
                   "the seals of foreign chains cannot be checked here: say that the file is "
                   "trusted with --no-seal-check"),
               kUsage;
    const auto text = wallet::read_text(args.genesis, kGenesisMax);
    if (!text) return out.fail(text.error().text);
    auto spec = config::parse_chain_spec(*text);
    if (!spec) return out.fail(args.genesis + ": " + spec.error().text());
    const std::filesystem::path folder = std::filesystem::path(args.datadir) / "chain";
    std::error_code error;
    std::filesystem::create_directories(args.datadir, error);
    if (error) return out.fail(args.datadir + ": cannot be made (" + error.message() + ")");
    const auto kv = state::open_leveldb(folder.string());
    if (!kv) return out.fail(folder.string() + ": " + std::string(state::to_text(kv.error())));
    auto importer = chain::Importer::open(**kv, std::move(*spec));
    if (!importer) return out.fail(importer.error().what);
    return import_file(out, **importer, args.file);
}

}  // namespace trainyard::node::cli
