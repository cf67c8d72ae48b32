// SPDX-License-Identifier: Apache-2.0
// `trainyard debug bundle`: what somebody needs to help, in one archive, without a secret in it.
#include <algorithm>
#include <cctype>
#include <filesystem>
#include <map>

#include <boost/json.hpp>

#include "node/cli/commands.hpp"
#include "node/cli/tar_gz.hpp"
#include "node/cli/version.hpp"
#include "node/config/node_config.hpp"
#include "node/wallet/files.hpp"
#include "node/wallet/http_client.hpp"

namespace trainyard::node::cli {
namespace {

namespace json = boost::json;

constexpr size_t kLogBytesMax = 1u << 30, kLogTailBytes = 4u << 20, kAnswerMax = 16u << 20;
constexpr size_t kSecretDigits = 64;  ///< a secret key in hexadecimal

struct Question {
    const char* file;
    const char* method;
    const char* params;
};
constexpr Question kQuestions[] = {
    {"status.json", "yard_status", "[]"},
    {"consensus.json", "admin_consensusState", "[]"},
    {"peers.json", "admin_peers", "[]"},
    {"bans.json", "admin_bans", "[]"},
    {"validators.json", "yard_validators", "[]"},
    {"syncing.json", "eth_syncing", "[]"},
    {"version.json", "web3_clientVersion", "[]"},
    {"genesis.json", "eth_getBlockByNumber", R"(["0x0", false])"},
    {"latest.json", "eth_getBlockByNumber", R"(["latest", false])"},
    {"final.json", "eth_getBlockByNumber", R"(["finalized", false])"},
};
constexpr const char* kPages[] = {"/metrics", "/healthz", "/readyz"};

/// Whatever could be a secret key goes out, block hashes with it: nobody needs to tell them apart.
std::string without_secrets(std::string_view text) {
    std::string out;
    for (size_t at = 0; at < text.size();) {
        size_t end = at;
        while (end < text.size() && std::isxdigit(static_cast<unsigned char>(text[end])) != 0)
            ++end;
        if (end - at == kSecretDigits)
            out += std::string(text.substr(at, 8)) + "…";
        else
            out += text.substr(at, end - at);
        if (end < text.size()) out += text[end];
        at = end + 1;
    }
    return out;
}

class Bundle {
public:
    void add(const std::string& name, std::string content) {
        files_.push_back({"trainyard-debug/" + name, std::move(content)});
    }
    /// What could not be had is said in the file itself, so that the bundle shows it.
    void add(const std::string& name, const Result<std::string, std::string>& content) {
        add(name, content ? *content : "not available: " + content.error() + "\n");
        if (!content) absent_[content.error()].push_back(name);
    }
    /// Files that could not be had, by the reason.
    [[nodiscard]] const std::map<std::string, std::vector<std::string>>& absent() const {
        return absent_;
    }
    [[nodiscard]] const std::vector<ArchiveFile>& files() const { return files_; }

private:
    std::vector<ArchiveFile> files_;
    std::map<std::string, std::vector<std::string>> absent_;
};

Result<std::string, std::string> fetch(wallet::HttpClient& client, wallet::HttpRequest request) {
    request.answer_bytes_max = kAnswerMax;
    const auto answer = client.send(request);
    if (!answer) return unexpected(answer.error().text);
    return std::string(as_text(answer->body));
}

void add_node(Bundle& bundle, const std::string& rpc) {
    const auto url = wallet::parse_http_url(rpc);
    if (!url) return bundle.add("node.txt", unexpected(url.error().text));
    wallet::HttpClient client(*url);
    for (const auto& question : kQuestions) {
        const std::string body = R"({"jsonrpc":"2.0","id":1,"method":")" +
                                 std::string(question.method) + R"(","params":)" + question.params +
                                 "}";
        wallet::HttpRequest request;
        request.body = as_bytes(body);
        bundle.add(question.file, fetch(client, std::move(request)));
    }
    for (const auto* page : kPages) {
        wallet::HttpRequest request;
        request.method = "GET";
        request.path = page;
        bundle.add(std::string(page + 1) + ".txt", fetch(client, std::move(request)));
    }
}

/// The settings as the file gives them; paths of keys are named, what is there is not read.
void add_settings(Bundle& bundle, const DebugArgs& args, std::string& datadir) {
    if (args.config.empty()) return;
    const auto text = wallet::read_text(args.config, 1 << 20);
    if (!text) return bundle.add("settings.toml", unexpected(text.error().text));
    config::NodeConfig settings;
    if (auto done = config::apply_toml(settings, *text, args.config); !done)
        return bundle.add("settings.toml", unexpected(done.error().text()));
    if (datadir.empty()) datadir = settings.datadir;
    bundle.add("settings.toml", without_secrets(config::write_toml(settings)));
}

/// Names and sizes; no file is opened.
void add_disk(Bundle& bundle, const std::string& datadir) {
    if (datadir.empty()) return;
    std::error_code failed;
    const auto space = std::filesystem::space(datadir, failed);
    std::string text = "folder " + datadir + "\n";
    text += failed ? "space unknown: " + failed.message() + "\n"
                   : "free " + std::to_string(space.available) + " of " +
                         std::to_string(space.capacity) + " bytes\n";
    for (const auto& name : wallet::list_folder(datadir)) {
        uint64_t bytes = 0;
        std::error_code ignored;
        const auto path = std::filesystem::path(datadir) / name;
        if (std::filesystem::is_directory(path, ignored)) {
            for (const auto& entry : wallet::list_folder(path.string()))
                bytes += std::filesystem::is_regular_file(path / entry, ignored)
                             ? std::filesystem::file_size(path / entry, ignored)
                             : 0;
        } else {
            bytes = std::filesystem::file_size(path, ignored);
        }
        text += name + " " + std::to_string(bytes) + "\n";
    }
    bundle.add("disk.txt", std::move(text));
}

void add_log(Bundle& bundle, const std::string& path) {
    if (path.empty()) return;
    const auto text = wallet::read_text(path, kLogBytesMax);
    if (!text) return bundle.add("log.txt", unexpected(text.error().text));
    const size_t from = text->size() - std::min(text->size(), kLogTailBytes);
    bundle.add("log.txt", without_secrets(std::string_view(*text).substr(from)));
}

}  // namespace

int run_debug_bundle(const Output& out, const DebugArgs& args) {
    if (wallet::file_exists(args.out))
        return out.fail("'" + args.out + "' is there already; name another file");
    Bundle bundle;
    std::string datadir = args.datadir;
    bundle.add("build.txt", "trainyard " + std::string(kVersion) + "\ncompiler " __VERSION__ "\n");
    add_settings(bundle, args, datadir);
    add_node(bundle, args.rpc);
    add_disk(bundle, datadir);
    add_log(bundle, args.log);
    const auto archive = make_tar_gz(bundle.files(), unix_seconds());
    if (!archive) return out.fail(archive.error());
    const auto written = wallet::write_file(args.out, *archive, wallet::FileMode::owner_only);
    if (!written) return out.fail(written.error().text);
    for (const auto& [why, names] : bundle.absent()) {
        std::string list;
        for (const auto& name : names) list += (list.empty() ? "" : ", ") + name;
        out.say("without " + list + ": " + why);
    }
    const size_t count = bundle.files().size();
    if (out.json)
        out.line(json::serialize(json::object{{"file", args.out}, {"files", count}}));
    else
        out.line(std::to_string(count) + " files in " + args.out +
                 "; look through them before you give them away");
    return kOk;
}

}  // namespace trainyard::node::cli
