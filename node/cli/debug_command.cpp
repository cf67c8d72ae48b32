// SPDX-License-Identifier: Apache-2.0
// `trainyard debug bundle`: what somebody needs to help, in a folder, without a secret in it.
#include <algorithm>
#include <cctype>
#include <filesystem>

#include <boost/json.hpp>

#include "node/cli/commands.hpp"
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
    Bundle(const Output& out, std::string folder) : out_(out), folder_(std::move(folder)) {}
    bool add(const std::string& name, std::string_view content) {
        const auto done = wallet::write_text(folder_ + "/" + name, content);
        if (!done) return out_.fail(done.error().text), false;
        return ++files_, true;
    }
    /// What could not be had is said in the file itself, so that the bundle shows it.
    bool add_missing(const std::string& name, const std::string& why) {
        return add(name, "not available: " + why + "\n");
    }
    [[nodiscard]] size_t files() const { return files_; }

private:
    const Output& out_;
    const std::string folder_;
    size_t files_ = 0;
};

Result<std::string, std::string> fetch(wallet::HttpClient& client, wallet::HttpRequest request) {
    request.answer_bytes_max = kAnswerMax;
    const auto answer = client.send(request);
    if (!answer) return unexpected(answer.error().text);
    return std::string(as_text(answer->body));
}

bool add_node(Bundle& bundle, const std::string& rpc) {
    const auto url = wallet::parse_http_url(rpc);
    if (!url) return bundle.add_missing("node.txt", url.error().text);
    wallet::HttpClient client(*url);
    for (const auto& question : kQuestions) {
        const std::string body = R"({"jsonrpc":"2.0","id":1,"method":")" +
                                 std::string(question.method) + R"(","params":)" + question.params +
                                 "}";
        wallet::HttpRequest request;
        request.body = Bytes(as_bytes(body).begin(), as_bytes(body).end());
        const auto answer = fetch(client, std::move(request));
        const bool kept = answer ? bundle.add(question.file, *answer + "\n")
                                 : bundle.add_missing(question.file, answer.error());
        if (!kept) return false;
    }
    for (const auto* page : kPages) {
        wallet::HttpRequest request;
        request.method = "GET";
        request.path = page;
        const auto answer = fetch(client, std::move(request));
        const std::string name = std::string(page + 1) + ".txt";
        const bool kept =
            answer ? bundle.add(name, *answer) : bundle.add_missing(name, answer.error());
        if (!kept) return false;
    }
    return true;
}

/// The settings as the file gives them; paths of keys are named, what is there is not read.
bool add_settings(Bundle& bundle, const DebugArgs& args, std::string& datadir) {
    if (args.config.empty()) return true;
    const auto text = wallet::read_text(args.config, 1 << 20);
    if (!text) return bundle.add_missing("settings.toml", text.error().text);
    config::NodeConfig settings;
    if (auto done = config::apply_toml(settings, *text, args.config); !done)
        return bundle.add_missing("settings.toml", done.error().text());
    if (datadir.empty()) datadir = settings.datadir;
    return bundle.add("settings.toml", without_secrets(config::write_toml(settings)));
}

bool add_disk(Bundle& bundle, const std::string& datadir) {
    if (datadir.empty()) return true;
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
    return bundle.add("disk.txt", text);
}

bool add_log(Bundle& bundle, const std::string& path) {
    if (path.empty()) return true;
    const auto text = wallet::read_text(path, kLogBytesMax);
    if (!text) return bundle.add_missing("log.txt", text.error().text);
    const size_t from = text->size() - std::min(text->size(), kLogTailBytes);
    return bundle.add("log.txt", without_secrets(std::string_view(*text).substr(from)));
}

}  // namespace

int run_debug_bundle(const Output& out, const DebugArgs& args) {
    if (wallet::file_exists(args.out))
        return out.fail("'" + args.out + "' is there already; name another folder");
    if (auto made = wallet::make_folder(args.out); !made) return out.fail(made.error().text);
    Bundle bundle(out, args.out);
    std::string datadir = args.datadir;
    const std::string build = "trainyard " + std::string(kVersion) + "\ncompiler " __VERSION__ "\n";
    const bool complete = bundle.add("build.txt", build) && add_settings(bundle, args, datadir) &&
                          add_node(bundle, args.rpc) && add_disk(bundle, datadir) &&
                          add_log(bundle, args.log);
    if (!complete) return kFailed;
    if (out.json)
        out.line(json::serialize(json::object{{"folder", args.out}, {"files", bundle.files()}}));
    else
        out.line(std::to_string(bundle.files()) + " files in " + args.out +
                 "; look through them before you give them away");
    return kOk;
}

}  // namespace trainyard::node::cli
