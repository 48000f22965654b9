"""AWS's wire protocols, each as three pure functions: `parse` a body, `render` a response, `render_error`."""
