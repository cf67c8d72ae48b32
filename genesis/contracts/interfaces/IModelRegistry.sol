// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title Trained models as tokens with their lineage
interface IModelRegistry {
    struct ModelRecord {
        uint256 jobId;
        bytes32 program;        // blob id
        bytes32 programId;      // sha256 of the canonical encoding
        bytes32 dataRoot;       // blob id of the data set
        bytes32 stateRoot;      // root of the final state
        bytes32 stateBlob;      // blob id of the final state
        bytes32 segmentsRoot;   // a := keccak256(a ‖ segRoot) over the final segments, from zero
        uint32 segments;        // final segments
        uint32 lossBits;        // binary32 bits of the last step's loss
        address[] providers;    // in order of work, a change of provider is an entry, at most 16
        string licence;         // SPDX expression
    }

    event ModelMinted(uint256 indexed tokenId, uint256 indexed jobId, address indexed to);

    /// Market only.
    function mint(address to, ModelRecord calldata record) external returns (uint256 tokenId);
    /// The one who paid names the model; letters, digits, space and -._ up to 64.
    function setTitle(uint256 tokenId, string calldata title) external;
    /// The one who paid says once which models this one continues; each has a smaller id.
    function setParents(uint256 tokenId, uint256[] calldata parents) external;
    /// The one who paid asks for at most 10 % of resales.
    function setRoyalty(uint256 tokenId, address receiver, uint96 basisPoints) external;

    function record(uint256 tokenId) external view returns (ModelRecord memory);
    function parentsOf(uint256 tokenId) external view returns (uint256[] memory);
    function titleOf(uint256 tokenId) external view returns (string memory);
    function payerOf(uint256 tokenId) external view returns (address);
    /// Root of final segment `seg` of the model, as the market keeps it.
    function segmentRoot(uint256 tokenId, uint32 seg) external view returns (bytes32);
    function totalSupply() external view returns (uint256);
}
