// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IERC4906} from "@openzeppelin/contracts/interfaces/IERC4906.sol";
import {IERC165} from "@openzeppelin/contracts/interfaces/IERC165.sol";
import {ERC721} from "@openzeppelin/contracts/token/ERC721/ERC721.sol";
import {ERC2981} from "@openzeppelin/contracts/token/common/ERC2981.sol";
import {Base64} from "@openzeppelin/contracts/utils/Base64.sol";
import {Strings} from "@openzeppelin/contracts/utils/Strings.sol";
import {IComputeMarket} from "./interfaces/IComputeMarket.sol";
import {IModelRegistry} from "./interfaces/IModelRegistry.sol";
import {Text} from "./lib/Text.sol";

/// @title Trained models: who owns them, and what exactly they were made from
/// @notice Only the market mints. The record never changes; title, parents and royalty are words of the one who paid.
contract ModelRegistry is ERC721, ERC2981, IERC4906, IModelRegistry {
    using Strings for uint256;

    uint256 internal constant MAX_PARENTS = 16;
    uint96 internal constant MAX_ROYALTY = 1000;

    struct Words {
        address payer;
        string title;
        uint256[] parents;
    }

    IComputeMarket public immutable market;
    uint256 public totalSupply;
    mapping(uint256 => ModelRecord) internal _records;
    mapping(uint256 => Words) internal _words;

    error NotMarket();
    error NotPayer();
    error BadValue(string what);

    modifier onlyPayer(uint256 tokenId) {
        require(msg.sender == _words[tokenId].payer, NotPayer());
        _;
    }

    constructor(IComputeMarket market_) ERC721("Trainyard Model", "MODEL") {
        market = market_;
    }

    function mint(address to, ModelRecord calldata made) external returns (uint256 tokenId) {
        require(msg.sender == address(market), NotMarket());
        tokenId = totalSupply++;
        _records[tokenId] = made;
        _words[tokenId].payer = to;
        _mint(to, tokenId);
        emit ModelMinted(tokenId, made.jobId, to);
    }

    function setTitle(uint256 tokenId, string calldata title) external onlyPayer(tokenId) {
        require(Text.isPlain(title, 64), BadValue("title"));
        _words[tokenId].title = title;
        emit MetadataUpdate(tokenId);
    }

    function setParents(uint256 tokenId, uint256[] calldata parents) external onlyPayer(tokenId) {
        require(_words[tokenId].parents.length == 0, BadValue("set"));
        require(parents.length > 0 && parents.length <= MAX_PARENTS, BadValue("parents"));
        for (uint256 i = 0; i < parents.length; i++) require(parents[i] < tokenId, BadValue("parent"));
        _words[tokenId].parents = parents;
        emit MetadataUpdate(tokenId);
    }

    function setRoyalty(uint256 tokenId, address receiver, uint96 basisPoints) external onlyPayer(tokenId) {
        require(basisPoints <= MAX_ROYALTY, BadValue("royalty"));
        if (basisPoints == 0) _resetTokenRoyalty(tokenId);
        else _setTokenRoyalty(tokenId, receiver, basisPoints);
        emit MetadataUpdate(tokenId);
    }

    function record(uint256 tokenId) external view returns (ModelRecord memory) {
        _requireOwned(tokenId);
        return _records[tokenId];
    }

    function parentsOf(uint256 tokenId) external view returns (uint256[] memory) { return _words[tokenId].parents; }

    function titleOf(uint256 tokenId) public view returns (string memory) {
        string memory title = _words[tokenId].title;
        return bytes(title).length > 0 ? title : string.concat("Model ", tokenId.toString());
    }

    function payerOf(uint256 tokenId) external view returns (address) { return _words[tokenId].payer; }

    function segmentRoot(uint256 tokenId, uint32 seg) external view returns (bytes32) {
        _requireOwned(tokenId);
        require(seg < _records[tokenId].segments, BadValue("segment"));
        return market.segment(_records[tokenId].jobId, seg).root;
    }

    function tokenURI(uint256 tokenId) public view override returns (string memory) {
        _requireOwned(tokenId);
        bytes memory json = abi.encodePacked(
            '{"name":"', titleOf(tokenId), '","description":"Trained on Trainyard; every segment was audited by replay.",',
            '"image":"data:image/svg+xml;base64,', Base64.encode(_svg(tokenId)), '","attributes":[', _attributes(tokenId), "]}"
        );
        return string.concat("data:application/json;base64,", Base64.encode(json));
    }

    function supportsInterface(bytes4 id) public view override(ERC721, ERC2981, IERC165) returns (bool) {
        return id == bytes4(0x49064906) || ERC721.supportsInterface(id) || ERC2981.supportsInterface(id);
    }

    function _attributes(uint256 tokenId) internal view returns (bytes memory) {
        ModelRecord storage r = _records[tokenId];
        return abi.encodePacked(
            _attribute("job", r.jobId.toString()), ",", _attribute("segments", uint256(r.segments).toString()), ",",
            _attribute("program id", _hex(r.programId)), ",", _attribute("data root", _hex(r.dataRoot)), ",",
            _attribute("state root", _hex(r.stateRoot)), ",", _attribute("segments root", _hex(r.segmentsRoot)), ",",
            _attribute("licence", r.licence)
        );
    }

    function _attribute(string memory name, string memory value) internal pure returns (bytes memory) {
        return abi.encodePacked('{"trait_type":"', name, '","value":"', value, '"}');
    }

    /// Sixteen bars from the state root: the same model always looks the same.
    function _svg(uint256 tokenId) internal view returns (bytes memory svg) {
        bytes32 root = _records[tokenId].stateRoot;
        svg = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 320 320"><rect width="320" height="320" fill="#14181d"/>';
        for (uint256 i = 0; i < 16; i++) {
            uint256 height = 20 + uint256(uint8(root[i])) * 180 / 255;
            uint256 hue = uint256(uint8(root[16 + i])) * 360 / 256;
            svg = abi.encodePacked(
                svg, '<rect x="', (16 + i * 18).toString(), '" y="', (240 - height).toString(), '" width="14" height="',
                height.toString(), '" fill="hsl(', hue.toString(), ',60%,60%)"/>'
            );
        }
        svg = abi.encodePacked(
            svg, '<text x="16" y="284" fill="#e8eaed" font-family="monospace" font-size="16">', titleOf(tokenId), "</text></svg>"
        );
    }

    function _hex(bytes32 value) internal pure returns (string memory) {
        return uint256(value).toHexString(32);
    }
}
