/** A request that bittensor 10.0.1 built and signed: //Alice asks //Bob (uuid, ip and clock fixed). */
export const SDK_HEADERS = {
  name: "Simulation",
  timeout: "49.5",
  bt_header_axon_ip: "203.0.113.7",
  bt_header_axon_port: "8091",
  bt_header_axon_hotkey: "5FHneW46xGXgs5mUiveU4sbTyGBzmstUspZC92UhjJM694ty",
  bt_header_dendrite_ip: "203.0.113.9",
  bt_header_dendrite_version: "10000001",
  bt_header_dendrite_nonce: "1760000000123456789",
  bt_header_dendrite_uuid: "5ecbd69c-1cec-11ee-b0dc-e29ce36fec1a",
  bt_header_dendrite_hotkey: "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY",
  bt_header_dendrite_signature:
    "0x665a5a822c1873f7215ce7035e4eb9e299d728af2235619c4e7bc18aa078c05a8f0826f5b421b84223392201a7b33f514302c2c9d66e160296e90b3503617080",
  bt_header_input_obj_simulation_input: "e30=",
  header_size: "464",
  total_size: "3776",
  computed_body_hash: "a7ffc6f8bf1ed76651c14756a061d662f580ff4de43b49fa82d80a4b80f8434a",
};
