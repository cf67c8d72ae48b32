// SPDX-License-Identifier: Apache-2.0
// `trainyard genesis wallet`: the running chain for wallets and viem.
#include <algorithm>

#include <boost/json.hpp>

#include "node/cli/commands.hpp"
#include "node/cli/wallet_settings.hpp"
#include "node/wallet/eth_client.hpp"

namespace trainyard::node::cli {
namespace {

namespace json = boost::json;

constexpr const char* kMulticall = "0xca11bde05977b3631167028862be2a173976ca11";
constexpr size_t kNameMax = 64;

bool is_http(const std::string& url) {
    return url.starts_with("http://") || url.starts_with("https://");
}

json::object currency(const ChainForWallets& chain) {
    return {{"name", chain.symbol}, {"symbol", chain.symbol}, {"decimals", 18}};
}

json::array texts(const std::vector<std::string>& items) {
    return json::array(items.begin(), items.end());
}

Result<ChainForWallets, std::string> ask_chain(const GenesisArgs& args) {
    const auto client = wallet::EthClient::open(args.rpc);
    if (!client) return unexpected(client.error().text);
    const auto id = (*client)->chain_id();
    if (!id) return unexpected(id.error().text);
    const auto code =
        (*client)->raw("eth_getCode", json::serialize(json::array{kMulticall, "latest"}));
    if (!code) return unexpected(code.error().text);
    ChainForWallets out{*id, args.name, args.symbol, args.urls,
                        code->size() > 4};  // more than "0x"
    if (out.name.empty()) out.name = "Trainyard " + std::to_string(*id);
    if (out.urls.empty()) out.urls.push_back(args.rpc);
    return out;
}

}  // namespace

bool is_for_wallets(const std::string& url) {
    if (url.starts_with("https://")) return true;
    for (const std::string here : {"http://localhost", "http://127.0.0.1", "http://[::1]"})
        if (url.starts_with(here) &&
            (url.size() == here.size() || url[here.size()] == ':' || url[here.size()] == '/'))
            return true;
    return false;
}

Result<Done, std::string> check_for_wallets(const ChainForWallets& chain) {
    const auto is_plain = [](unsigned char c) { return c >= 0x20 && c != 0x7f; };
    if (chain.name.empty() || chain.name.size() > kNameMax ||
        !std::all_of(chain.name.begin(), chain.name.end(), is_plain))
        return unexpected("--name is a text of 1 to " + std::to_string(kNameMax) + " bytes");
    const auto is_sign = [](unsigned char c) {
        return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
    };
    if (chain.symbol.size() < 2 || chain.symbol.size() > 6 ||
        !std::all_of(chain.symbol.begin(), chain.symbol.end(), is_sign))
        return unexpected(std::string("--symbol is of 2 to 6 letters or digits"));
    for (const auto& url : chain.urls)
        if (!is_http(url)) return unexpected("--url '" + url + "' is neither http:// nor https://");
    return Done{};
}

std::string add_chain_request(const ChainForWallets& chain) {
    const json::object parameter{{"chainId", to_quantity(Uint256(chain.chain_id))},
                                 {"chainName", chain.name},
                                 {"nativeCurrency", currency(chain)},
                                 {"rpcUrls", texts(chain.urls)}};
    return json::serialize(
        json::object{{"method", "wallet_addEthereumChain"}, {"params", json::array{parameter}}});
}

std::string viem_module(const ChainForWallets& chain) {
    std::vector<std::string> sockets = chain.urls;
    for (auto& url : sockets) url.replace(0, 4, "ws");
    std::string out =
        "import { defineChain } from \"viem\";\n\n"
        "export const trainyard = defineChain({\n"
        "  id: " +
        std::to_string(chain.chain_id) + ",\n  name: " + json::serialize(json::string(chain.name)) +
        ",\n  nativeCurrency: " + json::serialize(currency(chain)) +
        ",\n  rpcUrls: { default: { http: " + json::serialize(texts(chain.urls)) +
        ", webSocket: " + json::serialize(texts(sockets)) + " } },\n";
    if (chain.has_multicall)
        out += std::string("  contracts: { multicall3: { address: \"") + kMulticall +
               "\", blockCreated: 0 } },\n";
    return out + "});";
}

int run_genesis_wallet(const Output& out, const GenesisArgs& args) {
    const auto chain = ask_chain(args);
    if (!chain) return out.fail(chain.error());
    if (auto done = check_for_wallets(*chain); !done) return out.fail(done.error()), kUsage;
    for (const auto& url : chain->urls)
        if (!args.viem && !is_for_wallets(url))
            out.say(
                yellow("warning: wallets refuse " + url + ": they want https://, or this machine"));
    out.line(args.viem ? viem_module(*chain) : add_chain_request(*chain));
    return kOk;
}

}  // namespace trainyard::node::cli
