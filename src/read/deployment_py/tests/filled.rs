//! What a file changes of a deployment after it was made.

use super::*;

#[test]
fn what_is_put_into_a_deployment_later_counts() {
    let (drafts, faults) = read(
        "from prefect.deployments import Deployment\nfrom flow import my_flow\nd = Deployment.build_from_flow(my_flow, 'x')\nd.parameters['n'] = 7\nd.tags.append('late')\nd.apply()\n",
    );
    assert_eq!(faults, [""; 0]);
    assert_eq!(
        drafts,
        [
            json!({"name": "x", "entrypoint": "flow.py:my_flow", "parameters": {"n": 7}, "tags": ["late"]})
        ]
    );
}
